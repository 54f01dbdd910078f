#!/bin/bash
# setup.sh [quick|tests] : installs what is missing, and only that. Debian 12; root, or sudo for the packages.
#
#   quick   what it takes to build karat and to chat with the demo model
#   tests   everything that .ci/run uses: sanitizers, validation layers, Windows cross-build and Wine, compilers of
#           AMD, Intel and NVIDIA that run without their hardware
#
# Debian's packages go into the system; everything newer than Debian 12 goes into .deps/ in this repository, which may
# be deleted at any time. A machine that has it all passes in about a second. A part that only widens the tests and
# cannot be had (another distribution, no network) is reported and left out; the tests that need it then say so.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD deps=$PWD/.deps
what=${1:-quick}
case $what in quick | tests | make_*) ;; *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

# Why each is here: third_party/README.md.
quick_packages="gcc libc6-dev cmake ninja-build python3 xz-utils libvulkan1 libvulkan-dev libvulkan-volk-dev
    libedit-dev libevent-dev libsqlite3-dev libcurl4-openssl-dev ca-certificates"
tests_packages="git clang clang-format libclang-rt-14-dev vulkan-validationlayers spirv-tools gcc-mingw-w64-x86-64-win32
    wine wine64 xvfb xauth python3-numpy locales openssl chromium"
# These have to be newer than Debian 12's own.
tests_backports="mesa-vulkan-drivers mesa-drm-shim"
shim_packages="g++ bison flex python3-mako python3-yaml pkg-config zlib1g-dev libexpat1-dev"
shim_backports="meson libdrm-dev"
windows_packages="tcl"

seconds() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(seconds)" 'BEGIN { printf "%.1f s", b - a }'; }
say() { printf 'setup: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq "$@"
}

# missing PACKAGE... : those that are not installed.
missing() {
    local have
    have=" $(dpkg-query -W -f '${Package}:${db:Status-Status} ' "$@" 2>/dev/null || true)"
    for package in "$@"; do
        case $have in *" $package:installed "*) ;; *) printf '%s ' "$package" ;; esac
    done
}

# The packages of bookworm-backports among the arguments that are missing or still Debian 12's own.
missing_backports() {
    for package in "$@"; do
        case $(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || true) in
        *bpo12*) ;;
        *) printf '%s/bookworm-backports ' "$package" ;;
        esac
    done
}

# Once, before anything is installed: fresh lists, with the backports among the sources.
refresh_lists() {
    [ -z "${refreshed:-}" ] || return 0
    refreshed=yes
    local sources
    sources=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages')
    case $sources in
    *bookworm-backports*) ;;
    *)
        mirror=$(awk '$2 == "bookworm" { print $1; exit }' <<<"$sources")
        echo "deb $mirror bookworm-backports main" | as_root tee /etc/apt/sources.list.d/karat-backports.list >/dev/null
        ;;
    esac
    apt_get update
}

install() {
    local wanted="$*" began
    [ -n "${wanted// /}" ] || return 0
    began=$(seconds)
    refresh_lists
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $wanted >"$log" 2>&1 || {
        tail -20 "$log"
        say "apt failed: $wanted"
        return 1
    }
    say "installed $wanted($(since "$began"))"
}

# optional NAME FUNCTION : a part of .deps that is made once; its failure is a line, not the end. The function runs in
# a shell of its own because bash ignores set -e inside conditions.
optional() {
    local began
    [ ! -e "$deps/$1/complete" ] || return 0
    began=$(seconds)
    rm -rf "${deps:?}/$1"
    if third_party/setup.sh "$2" >"$log" 2>&1; then
        touch "$deps/$1/complete"
        say "made .deps/$1 ($(since "$began"))"
    else
        rm -rf "${deps:?}/$1"
        tail -3 "$log" | sed 's/^/       /'
        say "without $1 ($(since "$began")): what needs it will be skipped"
        return 1
    fi
}

prefix() { "$root/third_party/debian-prefix.sh" "$@"; }

# A launcher in .deps/bin that starts a prefix's program with the prefix's own C library.
launcher() {
    mkdir -p "$deps/bin"
    cat >"$deps/bin/$2" <<LAUNCHER
#!/bin/sh
p=\${0%/*}/../$1
exec "\$p/usr/lib64/ld-linux-x86-64.so.2" --library-path "\$p/usr/lib/x86_64-linux-gnu" "\$p/usr/bin/$2" "\$@"
LAUNCHER
    chmod +x "$deps/bin/$2"
}

make_glslang() {
    prefix "$deps/glslang" trixie glslang-tools spirv-tools libc6 libstdc++6 libgcc-s1
    for program in glslang spirv-val spirv-dis; do
        launcher glslang $program
    done
    "$deps/bin/glslang" --version
    "$deps/bin/spirv-val" --version
}

# Debian 13's validation layer, for its checks on the GPU.
make_layers() {
    prefix "$deps/layers" trixie vulkan-validationlayers libc6 libstdc++6 libgcc-s1
    local library=libVkLayer_khronos_validation.so
    sed -i "s#\"library_path\": *\"[^\"]*\"#\"library_path\": \"../../../lib/$(uname -m)-linux-gnu/$library\"#" \
        "$deps/layers/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json"
}

# A locale that writes 1,5: numbers in files must not follow it.
make_locale() {
    mkdir -p "$deps/locale"
    localedef -i de_DE -f UTF-8 "$deps/locale/de_DE.UTF-8"
}

# Intel's kernel driver as a stub, which Debian does not build; the Intel compiler then runs without its hardware.
make_intel_shim() {
    local work=$deps/intel-shim.work
    # Mako belongs to Debian's Python, whatever other Python comes first on this machine.
    export PATH=/usr/bin:$PATH
    rm -rf "$work"
    prefix "$work" trixie src:mesa
    mkdir "$work/mesa"
    tar xf "$work"/mesa.orig.tar.* -C "$work/mesa" --strip-components=1
    meson setup "$work/build" "$work/mesa" --wrap-mode=nodownload -Dbuildtype=release \
        -Dvulkan-drivers= -Dgallium-drivers= -Dplatforms= -Dtools=drm-shim,intel -Dllvm=disabled -Dglx=disabled \
        -Degl=disabled -Dopengl=false -Dgles1=disabled -Dgles2=disabled -Dgbm=disabled -Dvalgrind=disabled -Dlibunwind=disabled -Dlmsensors=disabled \
        -Dzstd=disabled -Dxmlconfig=disabled -Dandroid-libbacktrace=disabled
    ninja -j2 -C "$work/build" src/intel/tools/libintel_noop_drm_shim.so
    mkdir -p "$deps/intel-shim"
    cp "$work/build/src/intel/tools/libintel_noop_drm_shim.so" "$deps/intel-shim/"
    rm -rf "$work"
}

# cross FOLDER OPTION... : builds a source folder for Windows and installs it into .deps/mingw.
cross() {
    cmake -G Ninja -S "$1" -B "$1.build" -DCMAKE_TOOLCHAIN_FILE="$root/third_party/mingw.cmake" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$deps/mingw" "${@:2}"
    cmake --build "$1.build" --target install
}

# The libraries of karat serve for Windows, which Debian does not build: its sources, linked statically. SQLite's one big
# file is put together by a program in Tcl.
make_mingw() {
    local work=$deps/mingw.work library
    rm -rf "$work"
    prefix "$work" bookworm src:libevent src:curl src:sqlite3
    for library in libevent curl sqlite3; do
        mkdir "$work/$library"
        tar xf "$work/$library".orig.tar.* -C "$work/$library" --strip-components=1
    done
    cross "$work/libevent" -DEVENT__LIBRARY_TYPE=STATIC -DEVENT__DISABLE_OPENSSL=ON -DEVENT__DISABLE_MBEDTLS=ON \
        -DEVENT__DISABLE_TESTS=ON -DEVENT__DISABLE_REGRESS=ON -DEVENT__DISABLE_BENCHMARK=ON -DEVENT__DISABLE_SAMPLES=ON
    cross "$work/curl" -DBUILD_SHARED_LIBS=OFF -DBUILD_CURL_EXE=OFF -DBUILD_TESTING=OFF -DHTTP_ONLY=ON \
        -DCURL_USE_SCHANNEL=ON -DCURL_USE_LIBSSH2=OFF -DCURL_ZLIB=OFF -DUSE_LIBIDN2=OFF -DUSE_WIN32_IDN=ON \
        -DENABLE_UNICODE=ON -DENABLE_MANUAL=OFF
    cd "$work/sqlite3"
    ./configure --disable-tcl --disable-readline
    make sqlite3.c
    x86_64-w64-mingw32-gcc -O2 -DSQLITE_ENABLE_FTS5 -DSQLITE_OMIT_LOAD_EXTENSION -c sqlite3.c
    x86_64-w64-mingw32-ar rcs "$deps/mingw/lib/libsqlite3.a" sqlite3.o
    cp sqlite3.h "$deps/mingw/include/"
    rm -rf "$work"
}

# A newer Mesa, for what Debian 12's backport lacks: a CPU driver with cooperative matrices, the open NVIDIA driver, and
# AMD's with matrices for its latest cards; with the stubs of their kernel drivers.
make_mesa26() {
    local driver
    prefix "$deps/mesa26" trixie-backports mesa-vulkan-drivers mesa-drm-shim libc6 libstdc++6 libgcc-s1 libdrm2 \
        libdisplay-info2 libllvm19 libzstd1 zlib1g libexpat1 libudev1 libcap2 libwayland-client0 libffi8 libxcb-keysyms1
    for driver in intel intel_hasvk virtio asahi freedreno gfxstream; do
        rm -f "$deps"/mesa26/usr/lib/*/libvulkan_$driver.so "$deps"/mesa26/usr/share/vulkan/icd.d/${driver}*_icd.json
    done
}

# The clients that tests/server talks with, in the versions that its lock file names.
make_clients() {
    mkdir -p "$deps/clients"
    cp tests/server/package.json tests/server/package-lock.json "$deps/clients/"
    cd "$deps/clients"
    npm ci --ignore-scripts --no-audit --no-fund
}

make_page() {
    mkdir -p "$deps/page"
    cp apps/server/page/package.json apps/server/page/package-lock.json "$deps/page/"
    cd "$deps/page"
    npm ci --ignore-scripts --no-audit --no-fund
}

case $what in make_*)
    "$what"
    exit 0
    ;;
esac

[ "$(uname -m)" = x86_64 ] || say "this machine is $(uname -m): only x86_64 is tried regularly"
if ! command -v apt-get >/dev/null; then
    say "no apt here; install by hand what Debian 12 calls" $quick_packages "glslang-tools, and a Vulkan driver"
    exit 0
fi
mkdir -p "$deps"
exec 9>"$deps/lock"
flock 9 # another setup in this folder finishes first
log=$(mktemp)
trap 'rm -f "$log"' EXIT

wanted=$(missing $quick_packages)
# Any driver serves to chat; a machine without one gets Mesa's, which also brings the CPU driver.
if ! ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1; then
    wanted="$wanted$(missing_backports mesa-vulkan-drivers)"
fi
if [ $what = tests ]; then
    wanted="$wanted$(missing $tests_packages)$(missing_backports $tests_backports)"
    [ -e "$deps/intel-shim/complete" ] || wanted="$wanted$(missing $shim_packages)$(missing_backports $shim_backports)"
    [ -e "$deps/mingw/complete" ] || wanted="$wanted$(missing $windows_packages)"
    command -v node >/dev/null || wanted="${wanted}nodejs "
    command -v npm >/dev/null || wanted="${wanted}npm "
fi
install "$(tr ' ' '\n' <<<"$wanted" | sort -u | tr '\n' ' ')"

optional glslang make_glslang || install "$(missing glslang-tools)"
if [ $what = tests ]; then
    optional layers make_layers || true
    optional locale make_locale || true
    optional mesa26 make_mesa26 || true
    optional intel-shim make_intel_shim || true
    optional mingw make_mingw || true
    cmp -s tests/server/package-lock.json "$deps/clients/package-lock.json" || rm -rf "${deps:?}/clients"
    optional clients make_clients || true
    cmp -s apps/server/page/package-lock.json "$deps/page/package-lock.json" || rm -rf "${deps:?}/page"
    optional page make_page || true
fi
