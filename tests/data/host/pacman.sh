#!/bin/sh
# What pacman knows: one package, and a newer version of it in a repository. $1: an empty folder.
set -eu
cd "$1"
mkdir -p repo/hello-2-1 db/local/hello-1-1 root
printf '%%NAME%%\nhello\n\n%%VERSION%%\n1-1\n\n%%ARCH%%\nany\n' >db/local/hello-1-1/desc
echo 9 >db/local/ALPM_DB_VERSION
printf '%%FILENAME%%\nhello-2-1-any.pkg.tar.gz\n\n%%NAME%%\nhello\n\n%%VERSION%%\n2-1\n\n%%ARCH%%\nany\n' >repo/hello-2-1/desc
tar -C repo -czf repo/r.db hello-2-1
printf '[options]\nArchitecture = auto\nSigLevel = Never\n[r]\nServer = file://%s/repo\n' "$1" >pacman.conf
