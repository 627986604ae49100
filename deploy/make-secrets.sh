#!/bin/sh
# Makes the secrets that compose.yaml asks for, each once: one that is there is kept. The folder is closed to everybody
# else; the files in it can be read, since containers see each of them alone and run as users of their own.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
for name in redis_app redis_ops redis_repl redis_monitor postgres; do
  [ ! -s "$folder/$name" ] || continue
  # Longer than a guess, and without a character that a URL or a configuration would take amiss.
  head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/$name.new"
  chmod 444 "$folder/$name.new"
  mv "$folder/$name.new" "$folder/$name"
  echo "made $folder/$name"
done
