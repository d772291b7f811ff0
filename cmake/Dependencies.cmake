# Every dependency is a Debian 12 package; docs/architecture.md says why each is here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent libevent_pthreads)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
pkg_check_modules(URCU REQUIRED IMPORTED_TARGET liburcu-bp)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(LMDB REQUIRED IMPORTED_TARGET lmdb)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)

# OpenBLAS in its pthread variant: the serial one is not thread-safe.
find_path(OPENBLAS_INCLUDE cblas-openblas.h PATH_SUFFIXES openblas-pthread REQUIRED)
find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-pthread REQUIRED)
add_library(decided_blas INTERFACE)
target_include_directories(decided_blas SYSTEM INTERFACE ${OPENBLAS_INCLUDE})
target_link_libraries(decided_blas INTERFACE ${OPENBLAS_LIBRARY})

# For decide-train alone.  Programs that link its library (tests do) and never train do not load it.
find_path(XGBOOST_INCLUDE xgboost/c_api.h REQUIRED)
find_library(XGBOOST_LIBRARY xgboost REQUIRED)
add_library(decided_xgboost INTERFACE)
target_include_directories(decided_xgboost SYSTEM INTERFACE ${XGBOOST_INCLUDE})
target_link_libraries(decided_xgboost INTERFACE
  "-Wl,--push-state,--as-needed,${XGBOOST_LIBRARY},--pop-state")

# nng statically, because two of its internal functions are wrapped (server/transport/nng_wrap.c):
# the shared library of Debian 12 can be stopped by one client (nng issue 1518).
find_library(NNG_STATIC libnng.a REQUIRED)
find_library(MBEDTLS_LIBRARY mbedtls REQUIRED)
find_library(MBEDX509_LIBRARY mbedx509 REQUIRED)
find_library(MBEDCRYPTO_LIBRARY mbedcrypto REQUIRED)
add_library(decided_nng INTERFACE)
target_link_libraries(decided_nng INTERFACE
  ${NNG_STATIC} ${MBEDTLS_LIBRARY} ${MBEDX509_LIBRARY} ${MBEDCRYPTO_LIBRARY} Threads::Threads)
