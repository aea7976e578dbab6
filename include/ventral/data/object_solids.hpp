#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ventral/random.hpp"

/// What the objects of data/objects.hpp are made of: solids in three dimensions, y up.
namespace ventral::inline v0::detail::objects {

struct Vec {
  float x = 0, y = 0, z = 0;
  friend constexpr Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend constexpr Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend constexpr Vec operator*(float s, Vec a) { return {s * a.x, s * a.y, s * a.z}; }
};
constexpr Vec cross(Vec a, Vec b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
constexpr float dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec unit(Vec a) { return (1 / std::max(std::sqrt(dot(a, a)), 1e-12f)) * a; }

/// A section of a solid at `at` of the way from its one end to the other, with half-widths a and b.
struct Ring {
  float at, a, b;
};

/// A solid: sections along a line. What every part of every object is made of.
struct Loft {
  Vec from, to, side;  ///< the sections' half-width a lies along `side`, b across it
  std::vector<Ring> rings;
  float grey = 0.7f;
  bool box = false;  ///< four-sided with flat faces, else round
  float top = 1;     ///< sections are cut off above this share of b: 0 leaves half of them, as in a hull
};

/// Collects the parts of one exemplar.
class Sketch {
 public:
  explicit Sketch(Random random) : random_(random) {}
  std::vector<Loft> parts;
  float base = 0.7f;  ///< grey level of the object's main parts

  float vary(double low, double high) { return static_cast<float>(random_.uniform(low, high)); }
  bool chance(double p) { return random_.uniform() < p; }

  Loft& add(Vec from, Vec to, Vec side, std::vector<Ring> rings, float grey) {
    return parts.emplace_back(Loft{from, to, side, std::move(rings), grey});
  }
  /// A rod, cone or disc with flat ends, along any line.
  void rod(Vec from, Vec to, float r, float r_end, float grey) {
    const Vec axis = to - from;
    add(from, to, unit(cross(axis, std::abs(axis.y) < std::abs(axis.x) + std::abs(axis.z) ? Vec{0, 1, 0} : Vec{0, 0, 1})),
        {{0, 0, 0}, {0, r, r}, {0, r, r}, {1, r_end, r_end}, {1, r_end, r_end}, {1, 0, 0}}, grey);
  }
  /// A limb or body with round ends; `a` is measured up and down when it lies flat.
  void limb(Vec from, Vec to, float a, float b, float grey, float taper = 1) {
    const Vec axis = to - from;
    const Vec side = std::abs(axis.y) < std::abs(axis.x) + std::abs(axis.z) ? Vec{0, 1, 0} : Vec{1, 0, 0};
    std::vector<Ring> rings;
    constexpr float at[] = {0, 0.04f, 0.18f, 0.5f, 0.82f, 0.96f, 1}, size[] = {0, 0.55f, 0.9f, 1, 0.9f, 0.55f, 0};
    for (int i = 0; i < 7; ++i) {
      const float s = size[i] * (1 + (taper - 1) * at[i]);
      rings.push_back({at[i], s * a, s * b});
    }
    add(from, to, unit(cross(cross(axis, side), axis)), std::move(rings), grey);
  }
  void ball(Vec c, Vec radius, float grey) {
    std::vector<Ring> rings;
    constexpr float sine[] = {0, 0.5f, 0.866f, 1, 0.866f, 0.5f, 0}, at[] = {0, 0.067f, 0.25f, 0.5f, 0.75f, 0.933f, 1};
    for (int i = 0; i < 7; ++i) rings.push_back({at[i], sine[i] * radius.x, sine[i] * radius.z});
    add(c - Vec{0, radius.y, 0}, c + Vec{0, radius.y, 0}, {1, 0, 0}, std::move(rings), grey);
  }
  /// Upright block whose top may be smaller, `slide` shifts it to the front.
  void block(Vec c, Vec half, float grey, float top_x = 1, float top_z = 1, float slide = 0) {
    plate(c - Vec{0, half.y, 0}, c + Vec{slide, half.y, 0}, {1, 0, 0}, half.x, half.z, half.x * top_x, half.z * top_z, grey);
  }
  /// Four-sided prism between two places: wings, fins, sails, boards.
  void plate(Vec from, Vec to, Vec side, float a, float b, float a_end, float b_end, float grey) {
    add(from, to, side, {{0, 0, 0}, {0, a, b}, {1, a_end, b_end}, {1, 0, 0}}, grey).box = true;
  }
  /// Turned body around a vertical line, from radii at equal distances.
  void turned(Vec bottom, Vec top, std::initializer_list<float> radius, float grey) {
    std::vector<Ring> rings;
    for (const float r : radius) rings.push_back({static_cast<float>(rings.size()) / static_cast<float>(radius.size() - 1), r, r});
    rings.insert(rings.begin(), {0, 0, 0}), rings.push_back({1, 0, 0});
    add(bottom, top, {1, 0, 0}, std::move(rings), grey);
  }

 private:
  Random random_;
};

}  // namespace ventral::inline v0::detail::objects
