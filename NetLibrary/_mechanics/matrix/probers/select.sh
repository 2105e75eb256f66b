# Starts the best prober that the image can run: python3, bash 5, any shell. $1 python script, $2 bash script, $3 shell script.
if [ "$NETLIBRARY_PROBER" != bash ] && command -v python3 >/dev/null 2>&1; then exec python3 -u -c "$1"; fi
if command -v bash >/dev/null 2>&1 && [ "$(bash -c 'echo ${BASH_VERSINFO[0]}')" -ge 5 ] 2>/dev/null; then exec bash -c "$2"; fi
exec sh -c "$3"
