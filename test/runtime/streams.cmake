# Vendors' drivers over fakes of their libraries, and their symbol tables against
# the vendors' headers where those are.
add_executable(isthmus-stream-tests
  extension_test.cpp native_test.cpp stream_test.cpp stream_vendors.cpp)
# The toolkit's, or those of a PyPI package (nvidia-cuda-runtime) in .venv.
file(GLOB cuda_wheels ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/*/include)
find_path(CUDA_HEADERS cuda.h PATHS /usr/local/cuda/include ${cuda_wheels})
if(CUDA_HEADERS)
  # By its path: one of our headers has the same name.
  target_sources(isthmus-stream-tests PRIVATE cuda_header_test.cpp)
  target_compile_definitions(isthmus-stream-tests PRIVATE
    IST_CUDA_HEADER=<${CUDA_HEADERS}/cuda.h>)
endif()
find_path(HIP_HEADERS hip/hip_runtime_api.h PATHS /opt/rocm/include)
if(HIP_HEADERS)
  target_sources(isthmus-stream-tests PRIVATE hip_header_test.cpp)
  target_include_directories(isthmus-stream-tests SYSTEM PRIVATE ${HIP_HEADERS})
endif()
find_path(LEVEL_ZERO_HEADERS level_zero/ze_api.h)
if(LEVEL_ZERO_HEADERS)
  target_sources(isthmus-stream-tests PRIVATE ze_header_test.cpp)
  target_include_directories(isthmus-stream-tests SYSTEM PRIVATE ${LEVEL_ZERO_HEADERS})
endif()
find_path(OPENCL_HEADERS CL/cl.h)
if(OPENCL_HEADERS)
  target_sources(isthmus-stream-tests PRIVATE opencl_header_test.cpp)
  target_include_directories(isthmus-stream-tests SYSTEM PRIVATE ${OPENCL_HEADERS})
endif()
target_include_directories(isthmus-stream-tests PRIVATE
  ${PROJECT_SOURCE_DIR}/runtime/drivers/opencl
  ${PROJECT_SOURCE_DIR}/runtime/drivers/stream
  ${PROJECT_SOURCE_DIR}/runtime/drivers/cuda_hip
  ${PROJECT_SOURCE_DIR}/runtime/drivers/level_zero)
# For the fake Level Zero driver, kernels in a container of their own.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
set(wrap ${PROJECT_SOURCE_DIR}/test/fakes/wrap_spirv.py)
set(cts_elf ${PROJECT_BINARY_DIR}/share/isthmus/cts/cpu.elf)
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/kernels.spv
  COMMAND ${Python3_EXECUTABLE} ${wrap} ${kernels}
    ${CMAKE_CURRENT_BINARY_DIR}/kernels.spv add_f32:4 nonzero_f32:4 gather_f32:6
    scale_f32:4 inc_i64:3 constant_f32:2 trap:0 mark_u32:1 slow:1
  DEPENDS ${kernels} ${wrap})
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/cts.spv
  COMMAND ${Python3_EXECUTABLE} ${wrap} ${cts_elf}
    ${CMAKE_CURRENT_BINARY_DIR}/cts.spv add:4 scale:4 count:2 spin:2
  DEPENDS ist-cts-kernels ${wrap})
# For the fake GPUs, as they are, with the one that takes a tile beside them.
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/cts.elf
  COMMAND ${CMAKE_COMMAND} -E copy ${cts_elf} ${CMAKE_CURRENT_BINARY_DIR}/cts.elf
  DEPENDS ist-cts-kernels)
set(tile ${PROJECT_SOURCE_DIR}/test/fakes/tile.c)
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/cts-tile.elf
  COMMAND ${CMAKE_C_COMPILER} -shared -nostdlib -fPIC -ffreestanding -O2
    -fno-stack-protector -Wl,--no-undefined -Wl,-z,separate-code
    -o ${CMAKE_CURRENT_BINARY_DIR}/cts-tile.elf ${tile}
  DEPENDS ${tile})
add_custom_target(isthmus-test-spirv ALL DEPENDS
  ${CMAKE_CURRENT_BINARY_DIR}/cts.elf ${CMAKE_CURRENT_BINARY_DIR}/cts-tile.elf
  ${CMAKE_CURRENT_BINARY_DIR}/kernels.spv ${CMAKE_CURRENT_BINARY_DIR}/cts.spv)
add_dependencies(isthmus-stream-tests isthmus-test-kernels isthmus-test-spirv
  fake-cuda fake-hip fake-level-zero)
target_compile_definitions(isthmus-stream-tests PRIVATE
  ISTHMUS_TEST_KERNELS="${kernels}"
  IST_FAKE_CUDA="$<TARGET_FILE:fake-cuda>"
  IST_FAKE_HIP_PATH="$<TARGET_FILE:fake-hip>"
  IST_FAKE_LEVEL_ZERO="$<TARGET_FILE:fake-level-zero>"
  IST_TEST_SPIRV="${CMAKE_CURRENT_BINARY_DIR}/kernels.spv"
  IST_TEST_TILE="${CMAKE_CURRENT_BINARY_DIR}/cts-tile.elf")
target_link_libraries(isthmus-stream-tests PRIVATE
  isthmus-test-builder isthmus_objects GTest::gtest_main ${CMAKE_DL_LIBS})
add_test(NAME streams COMMAND isthmus-stream-tests)

# The conformance suite over the fakes: the kernels are the host's, whatever
# their container is called.
foreach(case cuda:CUDA:ptx hip:HIP:hsaco)
  string(REPLACE ":" ";" case ${case})
  list(GET case 0 driver)
  list(GET case 1 upper)
  list(GET case 2 format)
  add_test(NAME cts-${driver} COMMAND ist-cts --device=${driver}
    --kernels=${CMAKE_CURRENT_BINARY_DIR}/cts.elf --format=${format})
  set_tests_properties(cts-${driver} PROPERTIES ENVIRONMENT
    "ISTHMUS_${upper}_LIBRARY=$<TARGET_FILE:fake-${driver}>")
endforeach()
set(ze ISTHMUS_LEVEL_ZERO_LIBRARY=$<TARGET_FILE:fake-level-zero>)
foreach(old "" "-old")
  add_test(NAME cts-level-zero${old} COMMAND ist-cts --device=level_zero
    --kernels=${CMAKE_CURRENT_BINARY_DIR}/cts.spv --format=spirv)
endforeach()
set_tests_properties(cts-level-zero PROPERTIES ENVIRONMENT "${ze}")
set_tests_properties(cts-level-zero-old PROPERTIES ENVIRONMENT "${ze};ISTHMUS_FAKE_ZE_1_3=1")
# Through the real loader, without and with its validation layer.
find_library(LEVEL_ZERO_LOADER NAMES libze_loader.so.1)
if(LEVEL_ZERO_LOADER AND LEVEL_ZERO_HEADERS)
  get_filename_component(ze_folder ${LEVEL_ZERO_LOADER} DIRECTORY)
  foreach(validation 0 1)
    add_test(NAME cts-level-zero-loader-${validation} COMMAND ist-cts --device=level_zero
      --kernels=${CMAKE_CURRENT_BINARY_DIR}/cts.spv --format=spirv)
    set_tests_properties(cts-level-zero-loader-${validation} PROPERTIES ENVIRONMENT
      "ISTHMUS_LEVEL_ZERO_LIBRARY=${LEVEL_ZERO_LOADER};LD_LIBRARY_PATH=${ze_folder};ZE_ENABLE_ALT_DRIVERS=$<TARGET_FILE:fake-level-zero>;ZE_ENABLE_VALIDATION_LAYER=${validation};ZE_ENABLE_PARAMETER_VALIDATION=${validation}")
  endforeach()
endif()
# And with what the compiler makes for the vendor, executed by a simulated GPU.
if(ISTHMUS_COMPILER AND ISTHMUS_DRIVER_SIM_GPU)
  set(tiles_cuda)
  foreach(test boxes patches refused)
    list(APPEND tiles_cuda "--exclude=tile.${test}:its kernel is code of the host")
  endforeach()
  foreach(case cuda:CUDA:nvidia.ptx:ptx hip:HIP:amd.hsaco:hsaco)
    string(REPLACE ":" ";" case ${case})
    list(GET case 0 driver)
    list(GET case 1 upper)
    list(GET case 2 code)
    list(GET case 3 format)
    string(REGEX REPLACE "[.].*" "" vendor ${code})
    string(TOUPPER ${vendor} vendor)
    if(NOT ISTHMUS_TARGET_${vendor})
      continue()
    endif()
    add_test(NAME cts-${driver}-executed COMMAND ist-cts --device=${driver}
      --kernels=${PROJECT_BINARY_DIR}/share/isthmus/cts/${code} --format=${format}
      ${tiles_${driver}})
    set_tests_properties(cts-${driver}-executed PROPERTIES ENVIRONMENT
      "ISTHMUS_${upper}_LIBRARY=$<TARGET_FILE:fake-${driver}>;ISTHMUS_FAKE_EXECUTE=$<TARGET_FILE:isthmus-driver-sim-gpu>")
  endforeach()
endif()
