# What is installed where, and the Debian package of it (deploy/deb.sh makes one). Everything is
# relative to the root of a system: cmake --install build/release --prefix /
install(TARGETS penstock RUNTIME DESTINATION usr/bin)
install(FILES config/penstock.yaml DESTINATION etc/penstock)
install(FILES systemd/penstock.service systemd/penstock@.service systemd/penstock.socket
        DESTINATION lib/systemd/system)
install(FILES systemd/penstock.sysusers DESTINATION usr/lib/sysusers.d RENAME penstock.conf)
install(FILES deploy/man/penstock.8 DESTINATION usr/share/man/man8)
install(FILES deploy/man/penstock.yaml.5 DESTINATION usr/share/man/man5)
install(FILES deploy/completion/penstock.bash
        DESTINATION usr/share/bash-completion/completions RENAME penstock)
install(FILES deploy/completion/_penstock DESTINATION usr/share/zsh/vendor-completions)
install(FILES deploy/logrotate/penstock DESTINATION etc/logrotate.d)
file(GLOB schemas config/*.schema.json deploy/*.openapi.yaml)
install(FILES README.md deploy/debian/copyright config/minimal.yaml ${schemas}
        DESTINATION usr/share/doc/penstock)
file(GLOB examples deploy/prometheus/*.rules.yaml deploy/grafana/*.json)
install(FILES ${examples} DESTINATION usr/share/doc/penstock/examples)
install(FILES CHANGELOG.md DESTINATION usr/share/doc/penstock RENAME changelog)
install(FILES deploy/debian/lintian-overrides
        DESTINATION usr/share/lintian/overrides RENAME penstock)
install(FILES deploy/debian/changelog DESTINATION usr/share/doc/penstock RENAME changelog.Debian)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME penstock)
set(CPACK_PACKAGE_CONTACT "The penstock maintainers <maintainers@penstock.example>")
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/deploy/debian/finish.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"local HTTP forward proxy with connection pools
Programs send plain http:// requests over loopback; penstock speaks verified
TLS to the upstream, reuses its connections, enforces exact connection limits
and a time limit for each phase of a request, and says of each failure which
phase and which limit it was.

It is for PHP-FPM, CGI, cron jobs and prefork workers, which otherwise pay a
TCP and a TLS handshake per call, and for any program whose HTTP client has
one timeout, or none.")
# Upstreams are verified against the system's CAs, the user comes by systemd-sysusers, and units
# reload by /bin/kill.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates, procps, systemd")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS logrotate)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${CMAKE_SOURCE_DIR}/deploy/debian/conffiles;${CMAKE_SOURCE_DIR}/deploy/debian/postinst;\
${CMAKE_SOURCE_DIR}/deploy/debian/prerm;${CMAKE_SOURCE_DIR}/deploy/debian/postrm")
include(CPack)
