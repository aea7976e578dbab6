#include <fstream>
#include <nlohmann/json.hpp>

#include "conformance/case.hpp"

namespace conformance {

namespace {

using Json = nlohmann::json;

const Json& member(const Json& object, const char* key) {
  if (!object.is_object()) throw Malformed(concat("an object with the key '", key, "' expected, found ", object.dump().substr(0, 40)));
  const auto at = object.find(key);
  if (at == object.end()) throw Malformed(concat("key '", key, "' is missing"));
  return *at;
}
std::string text(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) throw Malformed(concat("key '", key, "' is not a text"));
  return value.get<std::string>();
}
double number(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number()) throw Malformed(concat("key '", key, "' is not a number"));
  return value.get<double>();
}

Attributes::Value attribute(const std::string& name, const Json& value) {
  using Kind = Attributes::Value::Kind;
  if (value.is_boolean()) return {Kind::boolean, value.get<bool>() ? 1.0 : 0.0};
  if (value.is_number()) return {Kind::number, value.get<double>()};
  if (value.is_string()) return {Kind::text, 0, value.get<std::string>()};
  if (!value.is_array()) throw Malformed(concat("attribute '", name, "' is neither number, text nor list"));
  Attributes::Value out{Kind::numbers};
  for (const Json& element : value) {
    if (!element.is_number() && !element.is_boolean()) throw Malformed(concat("attribute '", name, "' holds something that is not a number"));
    out.numbers.push_back(element.is_boolean() ? (element.get<bool>() ? 1.0 : 0.0) : element.get<double>());
  }
  return out;
}

Array array(const std::string& folder, const std::string& name, const Json& description) {
  std::vector<Index> axes;
  const Json& shape = member(description, "shape");
  if (!shape.is_array()) throw Malformed(concat("array '", name, "': shape is not a list"));
  for (const Json& extent : shape) {
    if (!extent.is_number_integer() || extent.get<Index>() < 0) throw Malformed(concat("array '", name, "': extent ", extent.dump(), " is not a count"));
    axes.push_back(extent.get<Index>());
  }
  return read_array(folder, text(description, "file"), name, text(description, "dtype"), axes);
}

std::vector<std::optional<Array>> ports(const std::string& folder, const Json& list, const char* key) {
  if (!list.is_array()) throw Malformed(concat("key '", key, "' is not a list"));
  std::vector<std::optional<Array>> out;
  for (const Json& port : list) {
    if (port.is_null()) out.emplace_back();
    else out.emplace_back(array(folder, text(port, "role"), port));
  }
  return out;
}

Case read_case(const std::string& folder, const Json& json) {
  Case c;
  c.name = text(json, "name");
  c.op = text(json, "op");
  const Json& attributes = member(json, "attrs");
  if (!attributes.is_object()) throw Malformed("key 'attrs' is not an object");
  for (const auto& [name, value] : attributes.items()) c.attributes.set(name, attribute(name, value));
  if (json.contains("arrays")) {
    const Json& arrays = member(json, "arrays");
    if (!arrays.is_object()) throw Malformed("key 'arrays' is not an object");
    for (const auto& [name, description] : arrays.items()) c.arrays.emplace(name, array(folder, name, description));
    return c;
  }
  if (!json.contains("inputs")) throw Malformed("neither 'arrays' (gold/grad) nor 'inputs' (gold/onnx_node) is there");
  c.format = Case::Format::onnx;
  c.domain = json.contains("domain") ? text(json, "domain") : "";
  c.opset = static_cast<int>(number(json, "opset"));
  c.inputs = ports(folder, member(json, "inputs"), "inputs");
  c.outputs = ports(folder, member(json, "outputs"), "outputs");
  c.rtol = number(json, "rtol");
  c.atol = number(json, "atol");
  c.random = json.contains("random") && json["random"].is_boolean() && json["random"].get<bool>();
  return c;
}

}  // namespace

std::vector<Case> read_folder(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  std::ifstream file(path);
  if (!file) throw Malformed(path + ": cannot be opened");
  Json manifest;
  try {
    manifest = Json::parse(file);
  } catch (const Json::parse_error& e) {
    throw Malformed(concat(path, ": at byte ", e.byte, ": not JSON (", e.what(), ")"));
  }
  std::vector<Case> cases;
  std::string where;
  try {
    if (number(manifest, "format") != 1) throw Malformed(concat("format ", number(manifest, "format"), "; 1 expected"));
    const Json& list = member(manifest, "cases");
    if (!list.is_array() || list.empty()) throw Malformed("key 'cases' is not a list of cases");
    for (const Json& json : list) {
      where = concat("case ", cases.size(), json.is_object() && json.contains("name") && json["name"].is_string() ? " '" + json["name"].get<std::string>() + "'" : "", ": ");
      cases.push_back(read_case(folder, json));
    }
  } catch (const Malformed& e) {
    throw Malformed(concat(path, ": ", where, e.what()));
  }
  return cases;
}

}  // namespace conformance
