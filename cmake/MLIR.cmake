# Debian's LLVM/MLIR; LLVM matches major.minor, so plain 22 is refused.
file(STRINGS ${PROJECT_SOURCE_DIR}/cmake/llvm_version.txt ISTHMUS_LLVM_VERSION)
list(APPEND CMAKE_PREFIX_PATH /usr/lib/llvm-22)
find_package(MLIR ${ISTHMUS_LLVM_VERSION} REQUIRED CONFIG)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR}) # add_mlir_doc writes to ${MLIR_BINARY_DIR}/docs
include(TableGen)
include(AddLLVM)
include(AddMLIR)
add_definitions(${LLVM_DEFINITIONS})
# mlir-tblgen takes its include path from the directory.
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})

# One precompiled header for all of them. ccache must be told that it may look
# at such compilations at all.
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()
file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cpp "")
add_library(ISTPrecompiled OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
target_compile_options(ISTPrecompiled PRIVATE -fno-rtti -fno-exceptions -O1)
target_include_directories(ISTPrecompiled SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_precompile_headers(ISTPrecompiled PRIVATE ${PROJECT_SOURCE_DIR}/cmake/Precompiled.h)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  set(ISTHMUS_PCH_OPTIONS "SHELL:-Xclang -fno-pch-timestamp")
  target_compile_options(ISTPrecompiled PRIVATE ${ISTHMUS_PCH_OPTIONS})
endif()

# Every compiler library is built without RTTI and exceptions, as LLVM is, and
# links the two shared libraries instead of hundreds of archives.
function(isthmus_compiler_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  # Compiling takes longer than what these libraries do at run time.
  target_compile_options(${name} PRIVATE -fno-rtti -fno-exceptions -O1 ${ISTHMUS_PCH_OPTIONS})
  target_precompile_headers(${name} REUSE_FROM ISTPrecompiled)
  target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${name} PUBLIC ${A_LINK} MLIR LLVM)
  if(A_DEPENDS)
    add_dependencies(${name} ${A_DEPENDS})
  endif()
endfunction()
