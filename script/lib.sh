# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used by the scripts that source it
# What every script here shares: where things are, how the one build graph is built, how to say things and how to end
# processes. Sourced, never run. It starts nothing and changes nothing by itself.

set -euo pipefail

ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"

# Continuous integration and containers sometimes come without HOME.
if [[ -z "${HOME:-}" ]]; then
  HOME="$(getent passwd "$(id -u)" | cut -d: -f6)"
  export HOME
fi
CACHE_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/waxwing"
DATA_DIR="${XDG_DATA_HOME:-$HOME/.local/share}/waxwing"
CARGO_BIN="${CARGO_HOME:-$HOME/.cargo}/bin"

# Outside the checkout, so that a fresh clone finds what an earlier one built.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE_DIR/target}"
BIN_DIR="$CARGO_TARGET_DIR/debug"

# Node.js from script/bootstrap, where the distribution's was too old, goes before the distribution's. Cargo's folder goes
# last: whoever put a cargo on the PATH meant it.
NODE_DIR="$CACHE_DIR/node"
if [[ -x "$NODE_DIR/node_modules/.bin/node" ]]; then PATH="$NODE_DIR/node_modules/.bin:$PATH"; fi
PATH="$PATH:$CARGO_BIN"
export PATH

# The one build graph. clippy, build and nextest all take exactly these, and never -p: another selection would resolve other
# features and build half of everything again.
GRAPH=(--workspace --all-targets --features waxwing/custom-protocol)

say() { printf '%s\n' "$*" >&2; }

# The clear sentence with which a script ends where it cannot go on.
die() {
  printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

headless() { [[ -z "${DISPLAY:-}" && -z "${WAYLAND_DISPLAY:-}" ]]; }

# at_least HAVE WANT: compares versions like 1.95.0 and 1.90.
at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; }

# One hash over everything that the web part is built from.
ui_inputs() {
  (
    cd -- "$ROOT/ui"
    find . \( -name node_modules -o -name dist -o -name coverage \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
  )
}

# vite build, only when something changed: a rewritten dist would make cargo embed it, and so link the app, again.
build_ui() {
  local stamp="$ROOT/ui/node_modules/.waxwing-dist" want
  want="$(ui_inputs)"
  if [[ -f "$ROOT/ui/dist/index.html" && "$(cat -- "$stamp" 2>/dev/null || true)" == "$want" ]]; then return 0; fi
  rm -f -- "$stamp"
  (cd -- "$ROOT/ui" && npm run --silent build) >&2 || return 1
  printf '%s\n' "$want" >"$stamp"
}

build_rust() { (cd -- "$ROOT" && cargo build "${GRAPH[@]}") >&2; }

build_all() {
  build_ui || die 'The web part did not build; the lines above say why.'
  build_rust || die 'The Rust part did not build; the lines above say why.'
}

# end_process PID [SECONDS]: asks a process to end, waits, and insists after that. The caller knows that the pid is its own.
end_process() { end_target "$1" "${2:-10}"; }

# end_group PGID [SECONDS]: the same for a process group that the caller started with setsid.
end_group() { end_target "-$1" "${2:-5}"; }

end_target() {
  local target="$1" tries=$(($2 * 10))
  kill -TERM -- "$target" 2>/dev/null || return 0
  while ((tries-- > 0)); do
    # A zombie child still answers kill -0 until it is waited for.
    if ! kill -0 -- "$target" 2>/dev/null || only_zombies "$target"; then return 0; fi
    sleep 0.1
  done
  kill -KILL -- "$target" 2>/dev/null || true
}

only_zombies() {
  local states
  if [[ "$1" == -* ]]; then states="$(ps -o stat= -g "${1#-}" 2>/dev/null || true)"; else states="$(ps -o stat= -p "$1" 2>/dev/null || true)"; fi
  ! grep -qv '^ *Z' <<<"${states:-Z}"
}
