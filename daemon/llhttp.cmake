# llhttp, compiled here in strict mode: Debian ships its sources in node-llhttp.
# Without LLHTTP_STRICT_MODE a bare CR ends a header line (CVE-2023-30589); the definition changes
# the header too, hence PUBLIC. Where the distribution has a libllhttp of its own, that is used.
pkg_check_modules(LLHTTP IMPORTED_TARGET libllhttp)
if(TARGET PkgConfig::LLHTTP)
  add_library(llhttp INTERFACE)
  target_link_libraries(llhttp INTERFACE PkgConfig::LLHTTP)
else()
  find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH REQUIRED)
  find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp /usr/share/include REQUIRED)
  # Of copies: the way to the originals differs with the folder of the build, and is in the binary.
  foreach(source api.c http.c llhttp.c)
    configure_file(${LLHTTP_SOURCE_DIR}/${source} ${CMAKE_BINARY_DIR}/llhttp/${source} COPYONLY)
  endforeach()
  add_library(llhttp OBJECT ${CMAKE_BINARY_DIR}/llhttp/api.c ${CMAKE_BINARY_DIR}/llhttp/http.c
    ${CMAKE_BINARY_DIR}/llhttp/llhttp.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp PRIVATE -w)
  target_link_libraries(llhttp PRIVATE penstock_release)
endif()
