//===- lexer.cpp - the words of PTX ---------------------------------------===//
#include "lexer.h"

#include <cctype>
#include <cstring>

using namespace isthmus::simgpu::ptx;

static bool isLetter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) ||
         std::strchr("_$%.", c) != nullptr;
}
static bool isDigit(char c) { return c >= '0' && c <= '9'; }

void Lexer::skipSpace() {
  while (at != end) {
    if (*at == '\n') {
      ++lineAt;
      ++at;
    } else if (std::isspace(static_cast<unsigned char>(*at)) || !*at) {
      ++at; // PTX may end in a zero byte
    } else if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
      while (at != end && *at != '\n')
        ++at;
    } else if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
      at += 2;
      while (at != end && !(end - at >= 2 && at[0] == '*' && at[1] == '/'))
        lineAt += *at++ == '\n';
      at += end - at >= 2 ? 2 : end - at;
    } else {
      return;
    }
  }
}

void Lexer::skipLine() {
  uint32_t here = line;
  while (kind != finished && line == here)
    next();
}

void Lexer::next() {
  skipSpace();
  line = lineAt;
  token.clear();
  if (at == end) {
    kind = finished;
    return;
  }
  const char *begin = at;
  if (*at && isLetter(*at)) {
    kind = word;
    // "L2::128B" is part of a word, "label:" is not.
    while (at != end && *at &&
           (isLetter(*at) || isDigit(*at) ||
            (*at == ':' && end - at > 2 && at[1] == ':'))) {
      at += *at == ':' ? 2 : 1;
    }
  } else if (isDigit(*at)) {
    kind = number;
    while (at != end &&
           (std::isalnum(static_cast<unsigned char>(*at)) || *at == '.' ||
            // 1.5e-3, not 0xe-3
            ((*at == '-' || *at == '+') && at[-1] == 'e' && begin[1] != 'x' &&
             std::memchr(begin, '.', static_cast<size_t>(at - begin)))))
      ++at;
  } else if (*at == '"') {
    kind = string;
    for (++at; at != end && *at != '"'; ++at)
      lineAt += *at == '\n';
    token.assign(begin + 1, at);
    at += at != end;
    return;
  } else {
    kind = punctuation;
    ++at;
  }
  token.assign(begin, at);
}
