#!/usr/bin/env bash
# The probe beside a scrape of node_exporter and a psutil script, in the same run on this machine with at least 200
# processes. Prints one table and writes docs/benchmarks-probe.md. A neighbour's load spoils it.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${BENCH_ROUNDS:-15}
scripts/build probes >&2
target/venv/bin/python - "$PWD/dist/probes/$(uname -m)-linux/fleet-probe" "$rounds" docs/benchmarks-probe.md <<'PY'
import datetime, json, os, platform, re, socket, statistics, subprocess, sys, tempfile, time, urllib.request

probe, rounds, document = sys.argv[1], int(sys.argv[2]), sys.argv[3]
load = os.getloadavg()[0]
# A key that nobody has the other half of: the stats are sealed as always.
recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
psutil_script = """
import json, psutil
out = dict(cpu=psutil.cpu_times()._asdict(), percpu=[c._asdict() for c in psutil.cpu_times(percpu=True)], load=psutil.getloadavg(),
  memory=psutil.virtual_memory()._asdict(), swap=psutil.swap_memory()._asdict(),
  disks={p.mountpoint: psutil.disk_usage(p.mountpoint)._asdict() for p in psutil.disk_partitions()},
  io={k: v._asdict() for k, v in psutil.disk_io_counters(perdisk=True).items()},
  net={k: v._asdict() for k, v in psutil.net_io_counters(pernic=True).items()},
  tcp=len(psutil.net_connections('tcp')),
  processes=[p.info for p in psutil.process_iter(['pid', 'name', 'username', 'status', 'cpu_times', 'memory_info', 'num_threads'])])
json.dumps(out, default=str)
"""


def run(command):
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"FAILED: {command} ended with {status}")
    return dict(wall=(time.perf_counter() - start) * 1e3, cpu=(usage.ru_utime + usage.ru_stime) * 1e3)


def memory(command):
    # Started by a small program: a child counts what its parent held when it was made.
    said = subprocess.run(["busybox", "time", "-v", *command], capture_output=True, text=True, check=True)
    return int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", said.stderr).group(1)) / 1024, said.stdout


def scrape(exporter, port):
    def spent():
        tasks = f"/proc/{exporter.pid}/task"
        return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1e6
    before, start = spent(), time.perf_counter()
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    return dict(wall=(time.perf_counter() - start) * 1e3, cpu=spent() - before, series=sum(1 for l in text.splitlines() if not l.startswith("#")))


with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
missing = max(0, 200 - sum(name.isdigit() for name in os.listdir("/proc")))
sleepers = [subprocess.Popen(["sleep", "3600"]) for _ in range(missing)]
exporter = subprocess.Popen(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(200):
        try:
            scrape(exporter, port)
            break
        except OSError:
            time.sleep(0.05)
    processes = sum(name.isdigit() for name in os.listdir("/proc"))
    with tempfile.TemporaryDirectory() as folder:
        ours = [probe, "--spool", folder + "/spool", "--recipient", recipient]
        python = [sys.executable, "-c", psutil_script]
        run(ours)  # the first watches the processors for 250 ms
        # As on a machine that is visited every few minutes: what takes long was asked in the background, which has a
        # line of its own.
        background = run([probe, "--refresh", "--spool", folder + "/spool"])
        answered = [name for name in ("answers", "smart", "updates") if os.path.exists(f"{folder}/spool/{name}")]
        kinds = {"ours": [], "exporter": [], "psutil": []}
        for _ in range(rounds):
            time.sleep(2.1)  # younger totals do not serve
            kinds["ours"].append(run(ours))
            kinds["exporter"].append(scrape(exporter, port))
            kinds["psutil"].append(run(python))
        time.sleep(2.1)
        # Some versions of busybox count pages of 4 KiB as 16: a program that knows its own peak tells.
        found, said = memory([sys.executable, "-c", "print(open('/proc/self/status').read())"])
        factor = round(found * 1024 / int(re.search(r"VmHWM:\s+(\d+)", said).group(1)))
        ours_memory, python_memory = memory(ours)[0] / factor, memory(python)[0] / factor
    exporter_memory = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{exporter.pid}/status").read()).group(1)) / 1024
finally:
    for child in [exporter, *sleepers]:
        child.kill()
        child.wait()

readings = len(json.loads(subprocess.run([probe, "--json"], capture_output=True, check=True).stdout)["readings"])
median = {kind: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for kind, runs in kinds.items()}
size = os.path.getsize(probe)
exporter_size = os.path.getsize(subprocess.run(["which", "prometheus-node-exporter"], capture_output=True, text=True, check=True).stdout.strip())
row = lambda name, one, rss, size, values: f"| {name} | {one['wall']:.1f} | {one['cpu']:.1f} | {rss:.1f} | {size} | {values} |"
table = "\n".join([
    f"| {processes} processes, medians of {rounds} | wall, ms | CPU, ms | peak memory, MiB | program, bytes | values |",
    "|---|---|---|---|---|---|",
    row("fleet-probe, all sections, top processes, sealed and written to disk", median["ours"], ours_memory, f"{size:,}", readings),
    row("node_exporter, one scrape of a program that stays in memory", median["exporter"], exporter_memory, f"{exporter_size:,}", int(median["exporter"]["series"])),
    row("a script over psutil, nothing sealed or written", median["psutil"], python_memory, "Python", "not counted"),
])
print(table)
asked = f"what they answered is in the samples ({', '.join(answered)})."
text = open("/proc/cpuinfo").read()
model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
open(document, "w").write(f"""# What a sample costs

Written by `make bench-probe` on {datetime.date.today()}. Machine: {model}, {os.cpu_count()} processors,
Linux {platform.release()}. The load average was {load:.1f} before it began: the nearer to 0, the better the figures.

{table}

- What takes long is asked in the background after a visit, each question every ten minutes to six hours (docs/host-metrics.md).
  All of them together took {background['wall'] / 1e3:.1f} s and {background['cpu'] / 1e3:.2f} s of CPU here, most of it the package manager's; {asked}
- Interleaved, so that what else the machine does meets all alike. The probe's first sample, which watches the processors
  for 250 ms, is not among them: from the second on, shares are reckoned since the sample before.
- CPU of the probe and of psutil is user and system time by wait4; of node_exporter what its threads ran meanwhile.
- Goals: 8 ms of CPU, 8 MiB of memory, 2 MiB of program.
""")
PY
