# libfastcam: the core behind a C header, as a shared and a static library.
include(GNUInstallDirs)

add_library(fastcam_c OBJECT csrc/c/boxes.cpp csrc/c/protocols.cpp)
set_target_properties(fastcam_c PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_link_libraries(fastcam_c PRIVATE fastcam_options)

foreach(kind SHARED STATIC)
  string(TOLOWER fastcam_${kind} target)
  add_library(${target} ${kind} $<TARGET_OBJECTS:fastcam_c> ${fastcam_objects})
  target_link_libraries(${target} PRIVATE fastcam_options)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME fastcam VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
  install(TARGETS ${target} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
endforeach()

if(UNIX AND NOT APPLE)
  set(exports ${CMAKE_CURRENT_SOURCE_DIR}/csrc/c/exports.map)
  target_link_options(fastcam_shared PRIVATE LINKER:--version-script=${exports})
  set_target_properties(fastcam_shared PROPERTIES LINK_DEPENDS ${exports})
endif()

# The shared library alone, without its links by version: for packages that carry it.
install(FILES $<TARGET_FILE:fastcam_shared> DESTINATION . RENAME libfastcam${CMAKE_SHARED_LIBRARY_SUFFIX}
        COMPONENT bare EXCLUDE_FROM_ALL)
install(FILES csrc/c/fastcam.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
configure_file(csrc/c/fastcam.pc.in fastcam.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fastcam.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
