/* Opens a device through the installed library; needs no artifact. */
#include <isthmus/runtime.h>

#include <stdio.h>

int main(void) {
  ist_error error = {0};
  ist_device *device = NULL;
  if (ist_device_open("cpu", NULL, &device, &error) != IST_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  printf("isthmus %s on %s\n", ist_version(), ist_device_name(device));
  ist_device_release(device);
  /* What is not there is a status that says so. */
  return ist_device_open("nowhere", NULL, &device, &error) == IST_NOT_FOUND ? 0
                                                                            : 1;
}
