#!/usr/bin/env bash
# Our collector beside the plain ssh program over the same sshd, in the same run: BENCH_HOSTS (50) accounts on loopback.
# Prints one table and writes docs/benchmarks.md. Run it on an idle machine; a neighbour's load spoils it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=scripts/loopback.sh
source scripts/loopback.sh
# What alerting costs, first: it needs no sshd.
alerts=$(mktemp)
cargo bench --locked --bench alerts | grep '^|' | tee "$alerts"
hosts=${BENCH_HOSTS:-50}
rounds=${BENCH_ROUNDS:-5}
jobs=${BENCH_JOBS:-16}
repo=$PWD

scripts/build >&2
bin=$repo/dist
loop_start bench
export FLEET_CONFIG=$loop_dir/config.xml NO_COLOR=1
port=$(loop_free_port)
addresses=()
lines=""
for ((n = 1; n <= hosts; n++)); do
    loop_user "$n"
    addresses+=("127.0.2.$n")
    lines+="  <host name=\"h$n\" address=\"127.0.2.$n\" user=\"$loop_name\"/>"$'\n'
    echo "$loop_name@127.0.2.$n" >>"$loop_dir/targets"
done
loop_sshd "$port" "${addresses[@]}"
cat >"$FLEET_CONFIG" <<XML
<?xml version="1.0" encoding="UTF-8"?>
<fleet-health version="1">
  <collector jobs="$jobs" timeout="60s" deadline="4m" interval="5m" state-dir="state" probe-dir="$bin/probes"/>
  <keys recipient-file="keys/fleet.pub" identity-file="keys/fleet.key"/>
  <store url="sqlite:fleet.db" keep="14d"/>
  <ssh key-file="keys/id_ed25519" known-hosts="keys/known_hosts" port="$port"/>
$lines</fleet-health>
XML
chmod 0600 "$FLEET_CONFIG"
cd "$loop_dir"
"$bin/fleet" keys generate >/dev/null

# The first host once more behind two lines, one without latency and one with: what a program is late by on the second
# counts its round trips, whatever it says of itself.
latency=200
: >line_hosts
for line in "near 127.0.2.201 0" "afar 127.0.2.202 $latency"; do
    read -r name address milliseconds <<<"$line"
    "$repo/target/venv/bin/python" "$repo/scripts/slow_line.py" "$address" "$port" 127.0.2.1 "$port" "$milliseconds" 2>"$name.log" &
    loop_pids+=($!)
    loop_wait_port "$address" "$port" || loop_fail "the line does not start: $(cat "$name.log")"
    echo "[$address]:$port $(cut -d' ' -f1,2 host_key.pub)" >>keys/known_hosts
    echo "  <host name=\"$name\" address=\"$address\" user=\"$loop_tag-1\"/>" >>line_hosts
done
sed -e '/<host /d' -e 's/fleet\.db/lines.db/' -e 's/"state"/"lines"/' "$FLEET_CONFIG" |
    sed -e '/<ssh /r line_hosts' >lines.xml
chmod 0600 lines.xml

# What a script would gather with one ssh: the files that our probe reads, and df.
cat >gather <<'SH'
cat /proc/stat /proc/meminfo /proc/loadavg /proc/diskstats /proc/net/dev /proc/uptime /proc/pressure/* /proc/self/mountinfo; df -P; df -Pi
SH
cat >ssh_config <<CONF
Host *
  Port $port
  IdentityFile $loop_dir/keys/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile $loop_dir/keys/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
  ControlMaster no
  LogLevel ERROR
CONF
cp ssh_config ssh_config.curve
echo "  KexAlgorithms curve25519-sha256" >>ssh_config.curve

"$repo/target/venv/bin/python" - "$bin" "$hosts" "$rounds" "$jobs" "$repo/docs/benchmarks.md" "$loop_tag-1" "$latency" \
    "$alerts" <<'PY'
import datetime, json, os, platform, resource, statistics, subprocess, sys, time

bin, hosts, rounds, jobs, document = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
user, latency = sys.argv[6], int(sys.argv[7]) / 1000
alerts = open(sys.argv[8]).read().strip()


def run(command, ok=(0,)):
    """Runs to the end; CPU of it and its children (sshd is not one), wall time, output."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, shell=isinstance(command, str))
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in ok:
        sys.exit(f"FAILED: {command}: exit {done.returncode}\n{done.stderr.decode()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000 / hosts, wall, done.stdout


def sweep():
    cpu, wall, out = run([f"{bin}/fleet-collector", "--json"])
    told = json.loads(out)["hosts"]
    if len(told) != hosts or any(host["outcome"] != "collected" for host in told):
        sys.exit(f"FAILED: not every host was collected: {out.decode()[:2000]}")
    mean = lambda name: statistics.mean(host[name] for host in told)
    return dict(cpu=cpu, wall=wall, trips=mean("round_trips"), sent=mean("sent_bytes"), got=mean("received_bytes"),
                shipped=sum(host["probe_shipped"] for host in told))


def ssh(config):
    cpu, wall, out = run(f"xargs -a targets -P {jobs} -I@ ssh -F {config} @ \"$(cat gather)\"")
    if out.count(b"MemTotal:") != hosts:
        sys.exit("FAILED: ssh did not gather from every host")
    return dict(cpu=cpu, wall=wall, got=len(out) / hosts)


load = os.getloadavg()[0]
first = sweep()
if first["shipped"] != hosts:
    sys.exit("FAILED: the first sweep did not ship the probe to every host")
kinds = {"ours": [], "ssh": [], "curve": []}
# Interleaved, so that what else the machine does meets all of them alike.
for _ in range(rounds):
    kinds["ours"].append(sweep())
    kinds["ssh"].append(ssh("ssh_config"))
    kinds["curve"].append(ssh("ssh_config.curve"))
if any(one["shipped"] for one in kinds["ours"]):
    sys.exit("FAILED: a warm sweep shipped a probe")
median = {kind: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for kind, runs in kinds.items()}



def trips(near, afar, before=lambda: None):
    """Round trips: how much later it is behind the line with latency; TCP's own is not delayed there, and added."""

    def once(command):
        before()
        start = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            sys.exit(f"FAILED: {command}: {done.stdout.decode()}{done.stderr.decode()}")
        return time.monotonic() - start

    return 1 + statistics.median((once(afar) - once(near)) / latency for _ in range(rounds))


gather = open("gather").read()
over_ssh = lambda config: [["ssh", "-F", config, f"{user}@{address}", gather] for address in ("127.0.2.201", "127.0.2.202")]
over_ours = [[f"{bin}/fleet-collector", "--config", "lines.xml", "--host", name] for name in ("near", "afar")]
forget = lambda: subprocess.run(["rm", "-rf", f"home/{user}/.cache"], check=True)
first["late"] = trips(*over_ours, forget)
median["ours"]["late"] = trips(*over_ours)
median["ssh"]["late"] = trips(*over_ssh("ssh_config"))
median["curve"]["late"] = trips(*over_ssh("ssh_config.curve"))

# Enough samples that the tables and not the empty file are measured; hosts run as before.
for _ in range(20):
    sweep()


def sql(text):
    return subprocess.run(["sqlite3", "-readonly", "fleet.db", text], capture_output=True, check=True, text=True).stdout.strip()


subprocess.run(["sqlite3", "fleet.db", "pragma wal_checkpoint(truncate)"], capture_output=True, check=True)
size = int(sql("pragma page_count")) * int(sql("pragma page_size"))
readings = int(sql("select count(*) from reading"))
text = open("/proc/cpuinfo").read()
model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
memory = int(open("/proc/meminfo").readline().split()[1]) / 1048576
version = lambda *command: (lambda d: (d.stdout + d.stderr).strip().splitlines()[0])(subprocess.run(command, capture_output=True, text=True))
os_name = next(line.split("=")[1].strip('"\n') for line in open("/etc/os-release") if line.startswith("PRETTY_NAME"))

ours, plain, curve = median["ours"], median["ssh"], median["curve"]
row = lambda name, one, sent: (
    f"| {name} | {one['cpu']:.2f} | {one['cpu'] / ours['cpu']:.1f} | {one['wall']:.2f} | {one['late']:.1f} "
    f"| {one['late'] / ours['late']:.2f} | {sent} | {one['got']:,.0f} |")
table = "\n".join([
    f"| {hosts} hosts, {jobs} at once | client CPU, ms a host | beside ours, warm | wall, s | round trips a host | beside ours, warm | bytes sent a host | bytes received a host |",
    "|---|---|---|---|---|---|---|---|",
    row("fleet-collector, warm sweep", ours, f"{ours['sent']:,.0f}"),
    row("fleet-collector, first sweep (ships the probe)", first, f"{first['sent']:,.0f}"),
    row("ssh by xargs, its default key exchange", plain, "not counted"),
    row("ssh by xargs, curve25519 forced", curve, "not counted"),
])
print(table)
print(f"\nStore: {size:,} bytes, {readings:,} readings, {size / readings:.1f} bytes a reading (indexes and attempts included)")
probe = os.path.getsize(f"{bin}/probes/{platform.machine()}-linux/fleet-probe")
open(document, "w").write(f"""# Benchmarks

Written by `make bench` on {datetime.date.today()}. Machine: {model}, {os.cpu_count()} processors, {memory:.1f} GiB of memory,
{os_name}, Linux {platform.release()}, {version('ssh', '-V')}. The sshd serves all hosts on the same machine, each with an
account of its own, so wall time is mostly sshd's; what a collector answers for is its own CPU. The machine's load average
was {load:.1f} before it began: the nearer to 0, the better the figures.

{table}

- The warm sweep and both ways of ssh are medians of {rounds} interleaved runs; the first sweep happens once.
- CPU is user and system time of the client program and its children, by getrusage; sshd and the probe are not in it.
- Round trips are measured, for all alike: one host behind a line with {latency * 1000:.0f} ms of latency (scripts/slow_line.py)
  against the same line without, TCP's own included. Our own count (`-v`, `--json`) says {ours['trips']:.1f} warm and
  {first['trips']:.1f} for the first.
- Ours connects, logs in, runs the probe, decrypts and stores. ssh only prints what `cat` and `df` give it: nothing is
  parsed or stored. Its bytes are those of that output, without what SSH adds; ours are the whole TCP stream.
- Repeated runs differ; nearer than 15 % is a tie.

| store | |
|---|---|
| size after {20 + rounds + 1} sweeps | {size:,} bytes |
| readings | {readings:,} |
| bytes a reading, indexes and attempts included | {size / readings:.1f} |

{alerts}

Alerting's goal is 584,000 rows a second for the evaluation of the catch-up and 0.5 ms for a mail. The SQLite line reads
and decodes every row and commits states, incidents and cursor, durable.

The probe that is shipped has {probe:,} bytes (static, {platform.machine()}).
""")
PY
(cd "$repo" && scripts/bench-known-hosts && scripts/bench-mail && scripts/bench-queries)
loop_say "written: docs/benchmarks.md"
