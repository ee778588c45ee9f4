#!/bin/sh
# Boots systemd over a copy-on-write view of this machine, in namespaces of its own, lets the probe look at it and prints
# what it said. $1: the probe. To be run by: unshare --mount.
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/up /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root
R=/mnt/root
mount -t tmpfs tmpfs $R/run
mount -t tmpfs tmpfs $R/tmp
mount -t tmpfs tmpfs $R/dev
for name in null zero full random urandom tty; do
    : >$R/dev/$name
    mount --bind /dev/$name $R/dev/$name
done
mkdir $R/dev/pts $R/dev/shm
# A group of its own, so that what systemd makes lies below it.
mount --rbind /sys $R/sys
umount -R $R/sys/fs/cgroup
mkdir /mnt/cgroup
mount -t cgroup2 none /mnt/cgroup
G=/mnt/cgroup/fleet-health-test-$$
mkdir "$G"
echo $$ >"$G/cgroup.procs"
cp "$1" $R/probe
echo 0123456789abcdef0123456789abcdef >$R/etc/machine-id
rm -rf $R/etc/systemd/system $R/var/log/journal
mkdir $R/etc/systemd/system
cd $R/etc/systemd/system
unit() { printf '[Unit]\nDefaultDependencies=no\n[Service]\n%b\n' "$2" >"$1"; }
unit flaky.service 'ExecStart=/bin/false\nRestart=always\nRestartSec=100ms\nStartLimitBurst=100000'
unit broken.service 'ExecStart=/bin/false'
unit nightly.service 'ExecStart=/bin/false'
printf '[Timer]\nOnCalendar=daily\n' >nightly.timer
unit slow.service 'Type=oneshot\nExecStart=/bin/sleep 600'
cat >look.sh <<'SH'
systemctl start --no-block flaky slow
systemctl start broken nightly
until [ "$(systemctl show -p NRestarts --value flaky)" -ge 3 ]; do sleep 0.2; done
until [ "$(systemctl show -p ActiveState --value slow)" = activating ]; do sleep 0.2; done
# Between its end and its next start the unit is nowhere to be seen for a moment.
until grep -q systemd.unit.restarts /tmp/sample; do /probe --json >/tmp/sample; done 2>/dev/null
cat /tmp/sample
# And a plain user, over the system's bus.
systemctl start dbus.socket dbus.service
until setpriv --reuid 65534 --regid 65534 --clear-groups /probe --json | tee /tmp/plain | grep -q systemd.state; do sleep 0.2; done
cat /tmp/plain
systemctl poweroff --force --force >/dev/null 2>&1
SH
unit look.service 'Type=oneshot\nStandardOutput=file:/result\nExecStart=/bin/sh /etc/systemd/system/look.sh\nTimeoutStartSec=90'
mkdir -p $R/etc/systemd/system/basic.target.wants
cd /
status=0
timeout -s KILL 100 unshare --pid --fork --cgroup --uts --ipc --net chroot $R sh -c '
    mount -t proc proc /proc
    mount -t cgroup2 none /sys/fs/cgroup
    exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=look.service' \
    </dev/null >/dev/null 2>&1 || status=$?
cat $R/result || echo "no result: $status" >&2
# Ours is in it still; the last of the others may take a moment to go.
echo $$ >/mnt/cgroup/cgroup.procs
tries=0
while [ -d "$G" ] && [ $tries -lt 100 ]; do
    find "$G" -depth -type d -exec rmdir {} \; 2>/dev/null || :
    sleep 0.1
    tries=$((tries + 1))
done
