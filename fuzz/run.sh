#!/usr/bin/env bash
# One fuzz target for a while: fuzz/run.sh TARGET [SECONDS]. What it learns stays
# in the build tree; what crashed once stays in fuzz/corpus/TARGET and is tried first.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?usage: fuzz/run.sh TARGET [SECONDS]; targets: $(cd fuzz && ls ./*_fuzz.cpp | sed 's,./,,; s,_fuzz.cpp,,' | tr '\n' ' ')}
seconds=${2:-60}
program=${TCPWHY_FUZZ_BUILD:-build/fuzz}/fuzz/fuzz_$target
learned=${TCPWHY_FUZZ_BUILD:-build/fuzz}/learned/$target
mkdir -p "$learned" "$learned.crashes"
python3 fuzz/seeds.py "$target" "$learned.seeds"
mkdir -p "$learned.seeds"
known=()
[ -d "fuzz/corpus/$target" ] && known+=("fuzz/corpus/$target")
[ ${#known[@]} -gt 0 ] && "$program" -runs=0 "${known[@]}"
exec "$program" -max_total_time="${seconds%s}" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="$learned.crashes/" "$learned" "$learned.seeds" "${known[@]}"
