"""One command on many hosts by parallel-ssh (libssh2): with_parallel_ssh.py PORT USER KEY JOBS COMMAND HOST..."""
import sys

from pssh.clients import ParallelSSHClient

port, user, key, jobs, command, *hosts = sys.argv[1:]
client = ParallelSSHClient(hosts, port=int(port), user=user, pkey=key, pool_size=int(jobs), num_retries=1, allow_agent=False)
for host in client.run_command(command):
    sys.stdout.write("\n".join(host.stdout) + "\n")
