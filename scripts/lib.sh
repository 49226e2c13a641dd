# Shared by the scripts here. Source it: . "$(dirname "$0")/lib.sh"; it goes to the root of the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

section() { printf '\n== %s\n' "$*"; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Installs those of the Debian packages that are missing, with sudo when not root. Quiet when all are there.
require_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null || { echo "${0##*/}: no Debian: these must be there by other means: $*" >&2; return 0; }
    for package; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing ${missing[*]}" >&2
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "missing packages: as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq </dev/null >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" </dev/null >&2
}

# Ends the script unless there is a Swift that can build the package.
require_swift() {
    local version
    command -v swift >/dev/null ||
        fail "no swift on PATH: Swift 6.1 or newer is needed, see https://www.swift.org/install/linux/"
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p')
    [ "$(printf '6.1\n%s\n' "$version" | sort -V | head -n 1)" = 6.1 ] ||
        fail "swift is version ${version:-unknown}: 6.1 or newer is needed, see https://www.swift.org/install/linux/"
}

# Runs the check of every example with the program given.
check_examples() {
    local check
    for check in Examples/*/check; do "$check" "$1" || return 1; done
}
