# A fleet on loopback for demo and bench: users, one sshd, keys. Source it; it needs root and cleans up after itself.
# Users and not only addresses: two hosts of one account would share the probe's spool.

loop_tag=fh$$
loop_pids=()
loop_mounts=()
loop_users=()
loop_say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
loop_fail() { echo "FAILED: $*" >&2; exit 1; }

# Not below /tmp: the probe refuses a directory whose parents others may write to.
loop_start() {
    ((EUID == 0)) || loop_fail "this makes users and mounts: run it as root"
    loop_dir=$(mktemp -d "/var/lib/fleet-health-$1.XXXXXX")
    chmod 0755 "$loop_dir"
    mkdir -p "$loop_dir"/{authorized,home,keys,mail}
    chmod 0700 "$loop_dir/keys"
    trap loop_end EXIT
    trap 'exit 130' INT TERM
    ssh-keygen -q -t ed25519 -N '' -C "$loop_tag" -f "$loop_dir/keys/id_ed25519"
    ssh-keygen -q -t ed25519 -N '' -C host -f "$loop_dir/host_key"
}

loop_end() {
    local status=$? pid mount user
    trap - EXIT
    for pid in "${loop_pids[@]:-}"; do [[ -z $pid ]] || kill "$pid" 2>/dev/null || true; done
    for mount in "${loop_mounts[@]:-}"; do [[ -z $mount ]] || umount -l "$mount" 2>/dev/null || true; done
    for user in "${loop_users[@]:-}"; do [[ -z $user ]] || userdel -f "$user" >/dev/null 2>&1 || true; done
    rm -rf "$loop_dir"
    exit "$status"
}

loop_free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# loop_user NUMBER: an account with a home and our key; sets loop_name.
loop_user() {
    loop_name=$loop_tag-$1
    # A password that matches nothing, but is not locked: sshd without PAM turns locked accounts away.
    useradd -M -p '*' -s /bin/sh -d "$loop_dir/home/$loop_name" "$loop_name" 2>/dev/null
    loop_users+=("$loop_name")
    install -d -m 0700 -o "$loop_name" -g "$loop_name" "$loop_dir/home/$loop_name"
    install -m 0644 "$loop_dir/keys/id_ed25519.pub" "$loop_dir/authorized/$loop_name"
}

# loop_sshd PORT ADDRESS...: sshd for all of them; the host key goes into known_hosts. One listens on at most 16.
loop_sshd() {
    local port=$1
    shift
    while (($#)); do
        loop_one_sshd "$port" "${@:1:16}"
        shift "$(($# < 16 ? $# : 16))"
    done
}

loop_one_sshd() {
    local port=$1 address config="$loop_dir/sshd.$1.$2.conf"
    shift
    {
        echo "Port $port"
        printf 'ListenAddress %s\n' "$@"
        echo "HostKey $loop_dir/host_key"
        echo "AuthorizedKeysFile $loop_dir/authorized/%u"
        echo "PidFile none"
        echo "UsePAM no"
        echo "PasswordAuthentication no"
        echo "KbdInteractiveAuthentication no"
        echo "MaxStartups 1000"
        echo "PrintMotd no"
    } >"$config"
    "$(command -v sshd || echo /usr/sbin/sshd)" -D -f "$config" -E "$config.log" &
    loop_pids+=($!)
    for address in "$@"; do
        echo "[$address]:$port $(cut -d' ' -f1,2 "$loop_dir/host_key.pub")" >>"$loop_dir/keys/known_hosts"
        loop_wait_port "$address" "$port" || loop_fail "sshd does not listen on $address: $(cat "$config.log")"
    done
}

loop_wait_port() {
    local try
    for try in {1..50}; do
        (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

# loop_mailbox PORT: a real SMTP server; mails appear as files in $loop_dir/mail.
loop_mailbox() {
    target/venv/bin/python scripts/mailbox.py "$1" "$loop_dir/mail" >"$loop_dir/mailbox.log" 2>&1 &
    loop_pids+=($!)
    loop_wait_port 127.0.0.1 "$1" || loop_fail "the mail server does not start: $(cat "$loop_dir/mailbox.log")"
}
