#pragma once
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace test {

/// What is wrong with an XML text, "" for nothing: tags that do not balance, attributes without quotes, a bare & or <, control characters.
inline std::string xml_fault(std::string_view text) {
  std::vector<std::string> open;
  const auto bad_entity = [&](std::size_t at) {
    for (const std::string_view e : {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"})
      if (text.substr(at, e.size()) == e) return false;
    return true;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 && c != '\n' && c != '\t') return "a control character at " + std::to_string(i);
    if (c == '&' && bad_entity(i)) return "a bare & at: " + std::string(text.substr(i, 20));
    if (c != '<') continue;
    if (text.substr(i, 9) == "<!DOCTYPE") {
      i = text.find('>', i);
      continue;
    }
    const bool closing = text[i + 1] == '/';
    std::size_t at = i + 1 + closing;
    const std::size_t start = at;
    while (at < text.size() && std::isalnum(static_cast<unsigned char>(text[at]))) ++at;
    const std::string name(text.substr(start, at - start));
    if (name.empty()) return "a bare < at: " + std::string(text.substr(i, 20));
    bool quoted = false, self = false;
    for (; at < text.size() && (quoted || text[at] != '>'); ++at) {
      if (text[at] == '"') quoted = !quoted;
      if (text[at] == '<') return "< inside the tag " + name;
      if (quoted && text[at] == '&' && bad_entity(at)) return "a bare & in an attribute of " + name;
      if (!quoted && text[at] == '=' && text[at + 1] != '"') return "an attribute without quotes in " + name;
      self = text[at] == '/';
    }
    if (at == text.size()) return "the tag " + name + " does not end";
    if (closing) {
      if (open.empty() || open.back() != name) return "</" + name + "> closes " + (open.empty() ? "nothing" : open.back());
      open.pop_back();
    } else if (!self) {
      open.push_back(name);
    }
    i = at;
    if (name == "style" && !closing && !self) i = text.find("</style>", i) - 1;
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

/// A geometric attribute that holds a number no browser draws, or "".
inline std::string coordinate_fault(std::string_view svg) {
  for (const std::string_view name :
       {" x=\"", " y=\"", " x1=\"", " y1=\"", " x2=\"", " y2=\"", " width=\"", " height=\"", " d=\"", " viewBox=\"", " transform=\""})
    for (std::size_t at = 0; (at = svg.find(name, at)) != svg.npos;) {
      at += name.size();
      const std::string value(svg.substr(at, svg.find('"', at) - at));
      for (const char* bad : {"nan", "inf", "e+", "e-"})
        if (value.find(bad) != value.npos) return std::string(name) + value;
    }
  return "";
}

inline int count_of(std::string_view text, std::string_view part) {
  int n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++n;
  return n;
}

}  // namespace test
