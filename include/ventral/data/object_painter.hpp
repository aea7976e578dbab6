#pragma once
#include <cstdint>

#include "ventral/data/object_shapes.hpp"

namespace ventral::inline v0::detail::objects {

/// A solid object in unit size: its vertices lie within the unit ball. Round parts share vertices and so are shaded smoothly; box faces have their
/// own.
struct Mesh {
  struct Vertex {
    Vec at, normal;
    float grey;
  };
  std::vector<Vertex> vertices;
  std::vector<std::array<int, 4>> faces;

  explicit Mesh(const std::vector<Loft>& parts) {
    for (const Loft& part : parts) add(part);
    Vec low = vertices[0].at, high = low;
    for (const Vertex& v : vertices) {
      low = {std::min(low.x, v.at.x), std::min(low.y, v.at.y), std::min(low.z, v.at.z)};
      high = {std::max(high.x, v.at.x), std::max(high.y, v.at.y), std::max(high.z, v.at.z)};
    }
    const Vec middle = 0.5f * (low + high);
    float radius = 0;
    for (Vertex& v : vertices) v.at = v.at - middle, radius = std::max(radius, dot(v.at, v.at));
    for (Vertex& v : vertices) v.at = (1 / std::sqrt(radius)) * v.at;
    for (const auto& f : faces) {  // the cross product of the diagonals weighs each face by its area
      const Vec n = cross(vertices[index(f[2])].at - vertices[index(f[0])].at, vertices[index(f[3])].at - vertices[index(f[1])].at);
      for (const int i : f) vertices[index(i)].normal = vertices[index(i)].normal + n;
    }
    for (Vertex& v : vertices) v.normal = unit(v.normal);
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  void add(const Loft& part) {
    constexpr int round = 12;
    const int around = part.box ? 4 : round, first = static_cast<int>(vertices.size()), rings = static_cast<int>(part.rings.size());
    const Vec axis = part.to - part.from, u = part.side, v = unit(cross(axis, u));
    for (const Ring& ring : part.rings)
      for (int k = 0; k < around; ++k) {
        const float turn = 6.2831853f * (static_cast<float>(k) + 0.5f) / static_cast<float>(around), widen = part.box ? 1.4142136f : 1;
        const float a = widen * ring.a * std::cos(turn), b = widen * ring.b * std::min(std::sin(turn), part.top);
        vertices.push_back({part.from + ring.at * axis + a * u + b * v, {}, part.grey});
      }
    for (int r = 0; r + 1 < rings; ++r)
      for (int k = 0; k < around; ++k) {
        const int next = (k + 1) % around, at = first + r * around;
        std::array<int, 4> face = {at + k, at + next, at + around + next, at + around + k};
        if (part.box)
          for (int& i : face) {
            const Vertex own = vertices[index(i)];
            i = static_cast<int>(vertices.size());
            vertices.push_back(own);
          }
        faces.push_back(face);
      }
  }
};

/// How an object is seen.
struct Pose {
  float x = 0.5f, y = 0.5f, radius = 0.36f;  ///< middle and size as shares of the image
  float yaw = 0, pitch = 0, roll = 0;        ///< radians: about y, then x, then the line of sight
};

/// What its surface is like: a tile of relative brightness laid through the object, and where the light is.
struct Surface {
  static constexpr int side = 32;
  float tile[side * side];
  float scale = 16;  ///< tile cells in the object's radius
  Vec light{-0.4f, 0.7f, 0.6f};
  float ambient = 0.4f, gain = 1;
};

/// Draws meshes with a depth buffer at twice the image's resolution, from an infinite distance.
class Painter {
 public:
  explicit Painter(int size) : size_(size), fine_(2 * size), depth_(index(fine_ * fine_)), grey_(index(fine_ * fine_)) {}

  /// Paints over `image` [size,size], brightness 0..1; where the object covers a part of a pixel the background shows through.
  void paint(const Mesh& mesh, const Pose& pose, const Surface& surface, float* image) {
    std::fill(depth_.begin(), depth_.end(), empty);
    place(mesh, pose, surface);
    for (const auto& f : mesh.faces) {
      triangle(surface, f[0], f[1], f[2]);
      triangle(surface, f[0], f[2], f[3]);
    }
    for (int y = 0; y < size_; ++y)
      for (int x = 0; x < size_; ++x) {
        float& pixel = image[y * size_ + x];
        float sum = 0;
        for (const int at : {2 * y * fine_ + 2 * x, 2 * y * fine_ + 2 * x + 1, (2 * y + 1) * fine_ + 2 * x, (2 * y + 1) * fine_ + 2 * x + 1})
          sum += depth_[index(at)] > empty ? grey_[index(at)] : pixel;
        pixel = 0.25f * sum;
      }
  }

 private:
  static constexpr float empty = -1e9f;
  struct Point {
    float x, y, z, grey, s, t;  // on the fine grid; brightness; place on the tile
  };
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  void place(const Mesh& mesh, const Pose& p, const Surface& surface) {
    const float cy = std::cos(p.yaw), sy = std::sin(p.yaw), cp = std::cos(p.pitch), sp = std::sin(p.pitch), cr = std::cos(p.roll),
                sr = std::sin(p.roll);
    const auto turn = [&](Vec v) {
      const Vec a{cy * v.x + sy * v.z, v.y, cy * v.z - sy * v.x};
      const Vec b{a.x, cp * a.y - sp * a.z, sp * a.y + cp * a.z};
      return Vec{cr * b.x - sr * b.y, sr * b.x + cr * b.y, b.z};
    };
    const float size = static_cast<float>(fine_), r = p.radius * size;
    const Vec light = unit(surface.light);
    points_.clear();
    for (const Mesh::Vertex& v : mesh.vertices) {
      const Vec at = turn(v.at);
      const float bright = v.grey * surface.gain * (surface.ambient + (1 - surface.ambient) * std::max(0.0f, dot(turn(v.normal), light)));
      points_.push_back({p.x * size + r * at.x, p.y * size - r * at.y, r * at.z, bright, 256 + surface.scale * (v.at.x + 0.6f * v.at.z),
                         256 + surface.scale * (v.at.y - 0.4f * v.at.z)});
    }
  }

  /// Fills a triangle that faces the viewer; every quantity is linear over it.
  void triangle(const Surface& surface, int ia, int ib, int ic) {
    const Point &a = points_[index(ia)], &b = points_[index(ib)], &c = points_[index(ic)];
    const float area = (b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y);
    if (!(area < -1e-6f)) return;  // y runs downward
    const float inverse = 1 / area;
    const int left = clip(std::min({a.x, b.x, c.x})), right = clip(std::max({a.x, b.x, c.x}) + 1), top = clip(std::min({a.y, b.y, c.y})),
              bottom = clip(std::max({a.y, b.y, c.y}) + 1);
    for (int y = top; y < bottom; ++y) {
      const float py = static_cast<float>(y) + 0.5f;
      for (int x = left; x < right; ++x) {
        const float px = static_cast<float>(x) + 0.5f;
        const float wb = ((px - a.x) * (c.y - a.y) - (c.x - a.x) * (py - a.y)) * inverse,
                    wc = ((b.x - a.x) * (py - a.y) - (px - a.x) * (b.y - a.y)) * inverse, wa = 1 - wb - wc;
        if (wa < 0 || wb < 0 || wc < 0) continue;
        const float z = wa * a.z + wb * b.z + wc * c.z;
        float& nearest = depth_[index(y * fine_ + x)];
        if (z <= nearest) continue;
        nearest = z;
        const int s = static_cast<int>(wa * a.s + wb * b.s + wc * c.s) % Surface::side,
                  t = static_cast<int>(wa * a.t + wb * b.t + wc * c.t) % Surface::side;
        grey_[index(y * fine_ + x)] = (wa * a.grey + wb * b.grey + wc * c.grey) * surface.tile[t * Surface::side + s];
      }
    }
  }
  int clip(float v) const { return v < 0 ? 0 : v > static_cast<float>(fine_) ? fine_ : static_cast<int>(v); }

  int size_, fine_;
  std::vector<float> depth_, grey_;
  std::vector<Point> points_;
};

}  // namespace ventral::inline v0::detail::objects
