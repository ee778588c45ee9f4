#!/bin/sh
# A repository of RPM with two versions of one package, the newer one mends a security problem, and a root that has the
# older one; and another package, of which there is one version. $1: an empty folder.
set -eu
cd "$1"
mkdir top repo root
for package in hello-1 hello-2 still-1; do
    cat >package.spec <<SPEC
Name: ${package%-*}
Version: ${package#*-}
Release: 1
Summary: x
License: MIT
BuildArch: noarch
%description
x
%files
SPEC
    rpmbuild -bb --quiet --define "_topdir $1/top" package.spec
done
cp top/RPMS/noarch/*.rpm repo/
createrepo_c -q repo
cat >updateinfo.xml <<XML
<?xml version="1.0"?>
<updates><update from="x" status="final" type="security" version="1"><id>FH-1</id><title>t</title>
<severity>Important</severity><issued date="2026-01-01 00:00:00"/><description>d</description>
<pkglist><collection short="r"><name>r</name>
<package name="hello" version="2" release="1" epoch="0" arch="noarch"><filename>hello-2-1.noarch.rpm</filename></package>
</collection></pkglist></update></updates>
XML
modifyrepo_c --mdtype=updateinfo updateinfo.xml repo/repodata
rpm --root "$1/root" --initdb
rpm --root "$1/root" -i --nodeps --noscripts repo/hello-1-1.noarch.rpm repo/still-1-1.noarch.rpm
mkdir -p root/etc/yum.repos.d
printf '[r]\nname=r\nbaseurl=file://%s/repo\ngpgcheck=0\n' "$1" >root/etc/yum.repos.d/r.repo
