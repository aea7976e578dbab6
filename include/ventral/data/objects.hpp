#pragma once
#include "ventral/cpu/parallel.hpp"
#include "ventral/data/dataset.hpp"
#include "ventral/data/object_painter.hpp"

namespace ventral::inline v0 {

/// The categories of draw_objects, in the order of their labels.
inline constexpr const char* object_categories[] = {"animals", "boats", "cars", "chairs", "faces", "fruits", "planes", "tables"};

/// How much position, size and pose of the objects vary.
enum class Variation { low, medium, high };

constexpr const char* to_string(Variation v) {
  constexpr const char* names[] = {"low", "medium", "high"};
  return names[static_cast<int>(v)];
}

/// The ranges of a level of variation; each quantity is uniform in its range, the size on a logarithmic scale.
struct VariationRange {
  double position = 0;  ///< of the middle, to either side, in image widths
  double scale = 1;     ///< sizes from 1 / scale to scale
  double rotation = 0;  ///< to either side about each of three axes, radians
};

constexpr VariationRange range_of(Variation v) {
  constexpr VariationRange ranges[] = {{0.02, 1.05, 0.1}, {0.12, 1.3, 0.7853981633974483}, {0.25, 1.6, 1.5707963267948966}};
  return ranges[static_cast<int>(v)];
}

struct ObjectOptions {
  std::uint64_t seed = 1;
  Index size = 56;  ///< height and width of the images; 16 at least
  Variation variation = Variation::high;
  Index first = 0;      ///< number of the first image: parts of one sequence, say for training and test, need not overlap
  Index exemplars = 8;  ///< different objects in each category, the same ones whatever the seed
  double contrast = 1;  ///< of the background; 0: even grey
};

namespace detail::objects {

/// One image on its way from random numbers to pixels. Holds memory that all images of a thread share.
class ImagePainter {
 public:
  ImagePainter(const ObjectOptions& o, const std::vector<Mesh>& meshes)
      : options_(o), meshes_(meshes), size_(static_cast<int>(o.size)), painter_(size_), canvas_(static_cast<std::size_t>(o.size * o.size)) {}

  int draw(Index number, std::uint8_t* image) {
    random_ = Random(options_.seed).fork(static_cast<std::uint64_t>(number));
    const int category = static_cast<int>(number % categories);
    const Index exemplar = random_.below(options_.exemplars);
    draw_background();
    const Pose pose = choose_pose(usual_view[category]);
    choose_surface();
    painter_.paint(meshes_[static_cast<std::size_t>(category * options_.exemplars + exemplar)], pose, surface_, canvas_.data());
    for (std::size_t i = 0; i < canvas_.size(); ++i) image[i] = static_cast<std::uint8_t>(255 * std::clamp(canvas_[i], 0.0f, 1.0f) + 0.5f);
    return category;
  }

 private:
  float uniform(double low, double high) { return static_cast<float>(random_.uniform(low, high)); }
  float coarse(float low, float high) { return low + (high - low) * Random::to_uniform(random_.bits()); }

  Pose choose_pose(View usual) {
    const VariationRange range = range_of(options_.variation);
    const auto around = [&](double middle, double reach) { return uniform(middle - reach, middle + reach); };
    Pose p;
    p.x = around(0.5, range.position), p.y = around(0.5, range.position);
    p.radius *= std::exp(around(0, std::log(range.scale)));
    p.yaw = around(usual.yaw, range.rotation), p.pitch = around(usual.pitch, range.rotation), p.roll = around(0, range.rotation);
    return p;
  }

  /// Plain, stripes or blotches, lit from above and a random side.
  void choose_surface() {
    const Index pattern = random_.below(3);
    const float depth = pattern == 0 ? 0.03f : coarse(0.05f, 0.28f);
    const int slope = static_cast<int>(random_.below(4)), width = 4 << random_.below(2);
    for (int t = 0; t < Surface::side; ++t)
      for (int s = 0; s < Surface::side; ++s) {
        float& cell = surface_.tile[t * Surface::side + s];
        const int along[] = {s, t, s + t, s - t + Surface::side};
        if (pattern == 1) cell = 1 + (along[slope] / width % 2 ? depth : -depth);
        else if (pattern == 2 && (t % 4 || s % 4)) cell = surface_.tile[(t & ~3) * Surface::side + (s & ~3)];
        else cell = 1 + coarse(-depth, depth);
      }
    surface_.scale = coarse(12, 24);
    surface_.light = {coarse(-0.8f, 0.8f), coarse(0.3f, 1), coarse(0.4f, 1)};
    surface_.ambient = coarse(0.3f, 0.5f);
    surface_.gain = coarse(0.8f, 1.25f);
  }

  /// Grids of random numbers, each twice as fine and half as strong as the one before, which has a 1/f amplitude spectrum; then discs and edges.
  void draw_background() {
    const float strength = static_cast<float>(options_.contrast), mean = 0.5f + strength * coarse(-0.2f, 0.2f);
    std::fill(canvas_.begin(), canvas_.end(), mean);
    if (strength == 0) return;
    float amplitude = strength * coarse(0.15f, 0.35f);
    for (int cells = 2; cells < size_; cells *= 2, amplitude *= 0.55f) add_octave(cells, amplitude);
    for (Index shapes = random_.below(6); shapes > 0; --shapes) add_shape(strength * coarse(-0.35f, 0.35f));
  }
  void add_octave(int cells, float amplitude) {
    const int across = cells + 1;
    grid_.resize(static_cast<std::size_t>(across * across));
    for (float& g : grid_) g = coarse(-amplitude, amplitude);
    row_.resize(static_cast<std::size_t>(across));
    for (int y = 0; y < size_; ++y) {
      const Place v = place(y, cells);
      const float *above = grid_.data() + v.cell * across, *below = above + across;
      for (int i = 0; i < across; ++i) row_[static_cast<std::size_t>(i)] = above[i] + v.part * (below[i] - above[i]);
      for (int x = 0; x < size_; ++x) {
        const Place h = place(x, cells);
        const float* a = row_.data() + h.cell;
        canvas_[static_cast<std::size_t>(y * size_ + x)] += a[0] + h.part * (a[1] - a[0]);
      }
    }
  }
  /// A disc, a bar or everything beyond a line.
  void add_shape(float step) {
    const Index kind = random_.below(3);
    const float s = static_cast<float>(size_), cx = coarse(0, s), cy = coarse(0, s), radius = coarse(0.05f, 0.3f) * s;
    float nx = coarse(-1, 1), ny = coarse(-1, 1);
    const float length = std::sqrt(nx * nx + ny * ny) + 1e-6f;
    nx /= length, ny /= length;
    for (int y = 0; y < size_; ++y)
      for (int x = 0; x < size_; ++x) {
        const float dx = static_cast<float>(x) - cx, dy = static_cast<float>(y) - cy, off = nx * dx + ny * dy;
        const float inside = kind == 0 ? radius - std::sqrt(dx * dx + dy * dy) : kind == 1 ? 0.5f * radius - std::abs(off) : off;
        canvas_[static_cast<std::size_t>(y * size_ + x)] += step * std::clamp(inside + 0.5f, 0.0f, 1.0f);
      }
  }
  struct Place {
    int cell;
    float part;
  };
  Place place(int pixel, int cells) const {
    const float at = (static_cast<float>(pixel) + 0.5f) * static_cast<float>(cells) / static_cast<float>(size_);
    const int cell = static_cast<int>(at);
    return {cell, at - static_cast<float>(cell)};
  }

  const ObjectOptions& options_;
  const std::vector<Mesh>& meshes_;
  int size_;
  Random random_;
  Painter painter_;
  Surface surface_;
  std::vector<float> canvas_, grid_, row_;
};

}  // namespace detail::objects

/// A task of object recognition that needs no files: images [count,1,size,size], labels 0..7 (animals, boats, cars, chairs, faces, fruits, planes,
/// tables), which take turns, so that they are balanced. Solids of a few exemplars in each category are turned in three dimensions, lit, textured,
/// sized and placed at random, on backgrounds that know nothing of the object: noise of 1/f amplitude with discs, bars and edges. Variation::low
/// names the category by the outline; Variation::high takes tolerance to position, size and pose. Depends on the options only: the same images for
/// any number of threads and however they are divided into parts; random choices have the same bits everywhere, grey levels may differ by rounding
/// where the compiler fuses multiplications or the C library's sin, cos and exp differ. Throws Error for a size below 16 or above 1024, no exemplars,
/// a contrast outside [0, 1], a negative count or first. Cost: about 0.2 ms an image of 56 pixels. After Majaj, Hong, Solomon, DiCarlo 2015, J
/// Neurosci 35:13402 (categories and levels of variation, not the objects themselves).
inline Dataset draw_objects(Index count, const ObjectOptions& options = {}) {
  using namespace detail::objects;
  require(count >= 0 && options.first >= 0, "draw_objects: ", count, " images from number ", options.first, "; neither may be negative");
  require(16 <= options.size && options.size <= 1024, "draw_objects: images of ", options.size, " pixels; 16 to 1024 expected");
  require(1 <= options.exemplars && options.exemplars <= 1000, "draw_objects: ", options.exemplars, " exemplars; 1 to 1000 expected");
  require(0 <= options.contrast && options.contrast <= 1, "draw_objects: contrast ", options.contrast, " is outside [0, 1]");
  std::vector<Mesh> meshes;
  for (int category = 0; category < categories; ++category)
    for (Index e = 0; e < options.exemplars; ++e) meshes.emplace_back(sketch_object(category, static_cast<int>(e)));
  Dataset out;
  out.classes = categories;
  out.names.assign(object_categories, object_categories + categories);
  out.images = Tensor<std::uint8_t>::uninitialized({count, 1, options.size, options.size});
  out.labels = Tensor<std::int32_t>::uninitialized({count});
  const Index pixels = options.size * options.size;
  cpu::parallel_ranges(count, 64, [&](Index first, Index last) {
    ImagePainter painter(options, meshes);
    for (Index i = first; i < last; ++i) out.labels[i] = painter.draw(options.first + i, out.images.data() + i * pixels);
  });
  return out;
}

}  // namespace ventral::inline v0
