#!/bin/sh
# foreign.sh ROOT PROGRAM...: runs a program where those of an arm64 machine run too, by qemu, and ROOT has this
# system's /proc and /dev. What is registered for this (binfmt_misc) is seen by nobody else and ends with the program.
root=$1; shift
export root
pid=$$
# Who maps users must stand outside.
(
    own=$(readlink /proc/self/ns/user)
    until [ "$(readlink /proc/$pid/ns/user)" != "$own" ]; do sleep 0.02; done
    echo '0 0 65536' >/proc/$pid/uid_map && echo '0 0 65536' >/proc/$pid/gid_map
) &
exec unshare --user --mount sh -c '
    until grep -q . /proc/self/gid_map; do sleep 0.02; done
    mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" || exit 1
    "$root/bin/busybox" true 2>/dev/null || {
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
            cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register || {
            echo "no program of another architecture runs here: this needs Linux 6.7, or qemu registered by the system"
            exit 1
        }
    }
    exec "$@"' sh "$@"
