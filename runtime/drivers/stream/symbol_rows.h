//===- symbol_rows.h - rows of a table of symbols -------------------------===//
//
// Define IST_SYMBOLS, the struct of pointers, include this and then the table:
// it becomes the initializer of an array of Symbol. No guard.
//
//===----------------------------------------------------------------------===//
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  {#symbol, true, since, offsetof(IST_SYMBOLS, name)},
#define IST_OPTIONAL(result, name, symbol, parameters, since)                  \
  {#symbol, false, since, offsetof(IST_SYMBOLS, name)},
