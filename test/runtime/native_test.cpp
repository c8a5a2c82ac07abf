//===- native_test.cpp - calls on the caller's own queue ------------------===//
