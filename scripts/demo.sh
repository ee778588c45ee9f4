#!/usr/bin/env bash
# The whole way on this machine: hosts behind a real sshd, two sweeps, a disk that fills, the mail, the recovery.
# Every step checks what it shows; the exit code is 0 only if all of it was as it should be.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=scripts/loopback.sh
source scripts/loopback.sh

loop_say "Building (the first time takes some minutes)"
scripts/build
bin=$PWD/dist
loop_start demo
export FLEET_CONFIG=$loop_dir/config.xml NO_COLOR=1

loop_say "Three hosts: two behind sshd on loopback, one whose sshd does not run; and this machine itself"
port=$(loop_free_port)
smtp=$(loop_free_port)
for host in web1 web2 db1; do loop_user "$host"; done
loop_sshd "$port" 127.0.1.1 127.0.1.2
loop_mailbox "$smtp"

# A real filesystem, small enough to fill.
disk=$loop_dir/data
mkdir "$disk"
truncate -s 24M "$loop_dir/disk.img"
mkfs.ext4 -q -m 0 "$loop_dir/disk.img"
mount -o loop "$loop_dir/disk.img" "$disk"
loop_mounts+=("$disk")

cat >"$FLEET_CONFIG" <<XML
<?xml version="1.0" encoding="UTF-8"?>
<fleet-health version="1">
  <collector jobs="8" timeout="20s" deadline="2m" interval="5m" state-dir="state" probe-dir="$bin/probes"/>
  <keys recipient-file="keys/fleet.pub" identity-file="keys/fleet.key"/>
  <store url="sqlite:fleet.db" keep="14d" keep-hourly="400d"/>
  <ssh key-file="keys/id_ed25519" known-hosts="keys/known_hosts" unknown-hosts="refuse" port="$port"/>
  <host name="web1" address="127.0.1.1" user="$loop_tag-web1">
    <!-- for="0s": the first sample opens it. On a real fleet let it hold for minutes. -->
    <rule metric="filesystem.used" item="$disk" warning="70%" critical="85%" for="0s"/>
  </host>
  <host name="web2" address="127.0.1.2" user="$loop_tag-web2"/>
  <host name="db1"  address="127.0.1.3" user="$loop_tag-db1"/>
  <host name="self" transport="local"/>
  <alerts recovered="true">
    <smtp host="127.0.0.1" port="$smtp" tls="none" from="fleet@example.net"/>
    <to name="ops" mail="ops@example.net"/>
    <route to="ops"/>
  </alerts>
</fleet-health>
XML
chmod 0600 "$FLEET_CONFIG"
cd "$loop_dir"

# run EXPECTED-EXIT COMMAND...: shows the command and its output, and insists on the exit code.
run() {
    local expected=$1 status=0
    shift
    echo "\$ ${1##*/} ${*:2}"
    "$@" >"$loop_dir/out" 2>&1 || status=$?
    cat "$loop_dir/out"
    [[ $status == "$expected" ]] || loop_fail "${1##*/} ended with $status, not $expected"
}
shows() { grep -qE -- "$1" "$loop_dir/out" || loop_fail "the output does not show: $1"; }
# mail TEXT: waits for nothing, for the alerter delivers before it ends; prints the newest mail that holds TEXT.
mail() {
    local file
    file=$(grep -lE -- "^Subject:.*$1" "$loop_dir"/mail/*.eml 2>/dev/null | tail -1) || true
    [[ -n $file ]] || loop_fail "no mail with a subject like: $1 ($(grep -h ^Subject: "$loop_dir"/mail/*.eml 2>/dev/null))"
    echo "--- ${file##*/}"
    "${bin%/dist}/target/venv/bin/python" - "$file" <<'PY'
import email, email.policy, sys
mail = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
for name in ("From", "X-Rcpt-To", "Subject"):
    print(f"{name}: {mail[name]}")
print()
print(mail.get_body(("plain",)).get_content().rstrip())
PY
    echo "---"
}

loop_say "Keys, and a look at the configuration"
run 0 "$bin/fleet" keys generate
run 0 "$bin/fleet" check-config

loop_say "The first sweep ships the probe; db1 is down, so the exit code is 3: partly done"
run 3 "$bin/fleet-collector" -v
shows '^db1: refused'
[[ $(grep -c 'probe shipped' out) -ge 2 ]] || loop_fail "the first sweep should ship the probe to web1 and web2"

loop_say "The second sweep ships nothing: compare bytes and round trips"
run 3 "$bin/fleet-collector" -v
! grep -q 'probe shipped' out || loop_fail "the second sweep shipped a probe again"

loop_say "The fleet, worst first; the exit code 3 says that something is wrong"
run 3 "$bin/fleet" status
for host in web1 web2 db1 self; do shows "$host"; done
shows 'refused'
run 0 "$bin/fleet" history web1 memory.used

loop_say "db1 failed twice in a row: one mail"
run 0 "$bin/fleet-alerter" -v
mail '\[CRIT\] db1'

loop_say "The disk of web1 fills for real; a sweep sees it, the alerter mails it"
head -c 22M /dev/zero >"$disk/ballast" 2>/dev/null || true
sync
df -h "$disk" | sed 's/^/  /'
run 3 "$bin/fleet-collector"
run 0 "$bin/fleet-alerter" -v
mail '\[CRIT\] web1'

loop_say "The disk is freed: two good samples later the recovery is mailed"
rm "$disk/ballast"
sync
for _ in 1 2 3; do
    run 3 "$bin/fleet-collector"
    run 0 "$bin/fleet-alerter"
done
mail '\[OK\] web1'

loop_say "What any sqlite3 reads from the store"
run 0 sqlite3 -header -column fleet.db \
    "select host, count(distinct at) as samples, count(*) as readings, max(at) as newest from reading group by host"
shows 'web2'

loop_say "All as it should be. Next: make install, fleet init"
