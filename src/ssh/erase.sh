n=$1; u=$(id -u)
for d in "${XDG_CACHE_HOME:-$HOME/.cache}/fleet-health" "/var/tmp/fleet-health-$u" "$XDG_RUNTIME_DIR/fleet-health" "/dev/shm/fleet-health-$u"; do
case $d in /fleet-health) continue;; /*) ;; *) continue;; esac
if [ -L "$d" ]; then continue; fi
if [ -d "$d" ] && [ -O "$d" ]; then :; else continue; fi
if rm -rf -- "$d"; then echo "FLEET-GONE $n $d"; else echo "FLEET-LEFT $n $d"; fi
done
echo "FLEET-DONE $n"
