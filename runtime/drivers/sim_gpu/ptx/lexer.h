//===- lexer.h - the words of PTX -----------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_LEXER_H
#define ISTHMUS_SIM_GPU_PTX_LEXER_H

#include <cstdint>
#include <string>

namespace isthmus::simgpu::ptx {

class Lexer {
public:
  Lexer(const char *text, size_t bytes) : at(text), end(text + bytes) {
    next();
  }
  enum Kind : uint8_t { word, number, string, punctuation, finished };
  /// Of the current token. A word begins with a letter or one of _ $ % . and
  /// may have dots within: "ld.global.b32", "%tid.x".
  Kind kind = finished;
  std::string token;
  uint32_t line = 1; // of the current token

  void next();
  void skipLine(); // what is left of the current token's line
  bool is(const char *text) const { return token == text && kind != string; }
  bool take(const char *text) {
    if (!is(text))
      return false;
    next();
    return true;
  }

private:
  void skipSpace();
  const char *at, *end;
  uint32_t lineAt = 1;
};

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_LEXER_H
