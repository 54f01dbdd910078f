#!/bin/bash
# debian-prefix.sh DIR SUITE PACKAGE... : unpacks packages of another Debian suite into DIR; the system stays as it is.
#
# "src:NAME" fetches the upstream archive of a source package instead and leaves it in DIR as NAME.orig.tar.*. The
# mirror is the one the machine already uses for its own suite, and signatures are checked as always. DIR appears only
# when everything has arrived, so an interrupted run leaves nothing half done.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 DIR SUITE PACKAGE..." >&2; exit 2; }
target=$1 suite=$2
shift 2

mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' |
    awk '$2 ~ /^[a-z]+$/ { print $1; exit }')
[ -n "$mirror" ] || { echo "apt knows no Debian mirror" >&2; exit 1; }

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
work=$(cd "$work" && pwd)
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/debs" "$work/root"
for kind in deb deb-src; do
    echo "$kind $mirror $suite main"
    # A backport leans on the suite below it.
    case $suite in *-backports) echo "$kind $mirror ${suite%-backports} main" ;; esac
done >"$work/apt/sources.list"
cat >"$work/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
export APT_CONFIG=$work/apt/apt.conf
apt-get update -qq

cd "$work/debs"
for package in "$@"; do
    case $package in
    src:*)
        apt-get source -qq --download-only "${package#src:}"
        for archive in *.orig.tar.*; do
            case $archive in
            *.asc) ;;
            *) mv "$archive" "$work/root/${package#src:}.orig.tar.${archive##*.orig.tar.}" ;;
            esac
        done
        ;;
    *)
        case $suite in
        *-backports) apt-get download -qq "$package/$suite" 2>/dev/null || apt-get download -qq "$package" ;;
        *) apt-get download -qq "$package" ;;
        esac
        ;;
    esac
done
for package in *.deb; do
    [ ! -e "$package" ] || dpkg-deb -x "$package" "$work/root"
done
rm -rf "$target"
mv "$work/root" "$target"
