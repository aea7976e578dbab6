#pragma once
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "ventral/tensor.hpp"

/// Cases of reference values, as a folder's manifest.json and .npy files give them.
namespace conformance {

using ventral::concat;
using ventral::Index;
using ventral::Shape;
using ventral::Tensor;

/// A folder that does not follow its format: named precisely, exit status 2.
struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An operator, or a use of it, that ventral does not have: the case is skipped, `not offered: what`.
struct NotOffered : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An array of numbers with its name (`x`, `dw`, or ONNX's role). More axes than a Shape can have: the last ones are folded into one.
struct Array {
  std::string name, dtype;
  std::vector<Index> axes;
  Tensor<double> values;

  const Shape& shape() const { return values.shape(); }
  int rank() const { return static_cast<int>(axes.size()); }
  double scalar() const {
    if (values.size() != 1) throw Malformed(concat("array '", name, "' has ", values.size(), " elements; one expected"));
    return values[0];
  }
  /// The values as T, in the memory of a space.
  template <class T, class Space = ventral::Cpu>
  Tensor<T, Space> as() const {
    return values.cast<T>().template to<Space>();
  }
};

/// The attributes of a case. Each is asked for by name; what nobody asked for is found by `unread()`, so that nothing is ignored silently.
class Attributes {
 public:
  using Numbers = std::vector<double>;
  struct Value {
    enum class Kind { number, boolean, text, numbers } kind = Kind::number;
    double number = 0;
    std::string text = {};
    Numbers numbers = {};
  };

  void set(const std::string& name, Value value) { values_[name] = std::move(value); }
  bool has(const std::string& name) const { return values_.count(name) > 0; }

  bool is_text(const std::string& name) const {
    const auto at = values_.find(name);
    return at != values_.end() && at->second.kind == Value::Kind::text;
  }

  double number(const std::string& name, double absent) const {
    const Value* v = find(name);
    if (!v) return absent;
    if (v->kind != Value::Kind::number && v->kind != Value::Kind::boolean) throw Malformed(concat("attribute '", name, "' is not a number"));
    return v->number;
  }
  Index integer(const std::string& name, Index absent) const { return static_cast<Index>(number(name, static_cast<double>(absent))); }
  bool boolean(const std::string& name, bool absent) const { return number(name, absent ? 1 : 0) != 0; }
  std::string text(const std::string& name, const std::string& absent) const {
    const Value* v = find(name);
    if (!v) return absent;
    if (v->kind != Value::Kind::text) throw Malformed(concat("attribute '", name, "' is not a text"));
    return v->text;
  }
  Numbers numbers(const std::string& name, const Numbers& absent) const {
    const Value* v = find(name);
    if (!v) return absent;
    if (v->kind == Value::Kind::number) return {v->number};
    if (v->kind != Value::Kind::numbers) throw Malformed(concat("attribute '", name, "' is not a list of numbers"));
    return v->numbers;
  }
  /// Names attributes that say nothing about the result.
  void read(std::initializer_list<const char*> names) const {
    for (const char* name : names) read_.insert(name);
  }
  /// The attributes that were never asked for, `a, b`.
  std::string unread() const {
    std::string out;
    for (const auto& [name, value] : values_)
      if (read_.count(name) == 0) out += (out.empty() ? "" : ", ") + name;
    return out;
  }

 private:
  const Value* find(const std::string& name) const {
    read_.insert(name);
    const auto at = values_.find(name);
    return at == values_.end() ? nullptr : &at->second;
  }

  std::map<std::string, Value> values_;
  mutable std::set<std::string> read_;
};

/// One case. gold/grad fills `arrays`, gold/onnx_node the rest, in operator order with nothing where an optional one is left out.
struct Case {
  enum class Format { grad, onnx } format = Format::grad;
  std::string name, op, domain;
  int opset = 0;
  Attributes attributes;
  std::map<std::string, Array> arrays;
  std::vector<std::optional<Array>> inputs, outputs;
  double rtol = 0, atol = 0;
  bool random = false;

  bool has(const std::string& array) const { return arrays.count(array) > 0; }
  const Array& array(const std::string& array_name) const {
    const auto at = arrays.find(array_name);
    if (at == arrays.end()) throw Malformed(concat(op, " needs an array '", array_name, "'"));
    return at->second;
  }
  /// Input i, or null when it is left out.
  const Array* optional_input(std::size_t i) const { return i < inputs.size() && inputs[i] ? &*inputs[i] : nullptr; }
  const Array& input(std::size_t i) const {
    if (const Array* a = optional_input(i)) return *a;
    throw Malformed(concat(op, " needs input ", i));
  }
  const Array& wanted(std::size_t i) const {
    if (const Array* a = output(i)) return *a;
    throw Malformed(concat(op, " needs output ", i));
  }
  /// Output i, or null when the case does not give it.
  const Array* output(std::size_t i) const { return i < outputs.size() && outputs[i] ? &*outputs[i] : nullptr; }
};

/// Reads a .npy file of a folder and checks it against what the manifest says of it. Throws Malformed.
Array read_array(const std::string& folder, const std::string& file, const std::string& name, const std::string& dtype, const std::vector<Index>& axes);

/// Reads DIR/manifest.json and the arrays it names. Throws Malformed.
std::vector<Case> read_folder(const std::string& folder);

}  // namespace conformance
