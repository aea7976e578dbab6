#pragma once
#include "ventral/data/object_solids.hpp"

/// The objects that data/objects.hpp draws: eight categories, each in a few kinds whose parts vary from exemplar to exemplar.
/// x points to the front of animals and vehicles, y up, z to the viewer of faces and chairs.
namespace ventral::inline v0::detail::objects {

inline void sketch_animal(Sketch& s, int kind) {  // like a dog, a giraffe, an elephant, a pig
  const float length = s.vary(0.5, 0.65),
              girth = s.vary(0.17, 0.21) * (kind == 2   ? 1.7f
                                            : kind == 3 ? 1.5f
                                                        : 1),
              leg = s.vary(0.42, 0.55) * (kind == 3   ? 0.55f
                                          : kind == 1 ? 1.35f
                                                      : 1);
  const float foot = girth * (kind == 2 ? 0.3f : 0.24f), dark = 0.6f * s.base;
  s.limb({-length, 0, 0}, {length, kind == 1 ? 0.12f : 0.02f, 0}, girth, 0.85f * girth, s.base);
  for (const float x : {-0.7f, 0.7f})
    for (const float z : {-0.5f, 0.5f})
      s.rod({x * length, 0, z * girth}, {x * length + s.vary(-0.06, 0.06), -leg - 0.6f * girth, z * girth}, 1.5f * foot, 0.8f * foot, 0.85f * s.base);
  const float neck = kind == 1 ? s.vary(0.8, 1.0) : kind == 0 ? s.vary(0.25, 0.4) : 0.1f, head = s.vary(0.15, 0.18) * (kind >= 2 ? 1.35f : 1);
  const Vec shoulder{0.85f * length, 0.3f * girth, 0}, skull = shoulder + Vec{0.15f + 0.35f * neck, 0.05f + neck, 0};
  if (kind < 2) s.rod(shoulder - Vec{0.12f, 0.05f, 0}, skull, 0.8f * girth, 0.45f * girth, s.base);
  s.ball(skull, {head, 0.85f * head, 0.8f * head}, s.base);
  const float snout = kind == 2 ? 0.05f : s.vary(0.9, 1.5) * head;
  s.limb(skull + Vec{0.2f * head, -0.2f * head, 0}, skull + Vec{0.8f * head + snout, -0.45f * head, 0}, 0.5f * head, 0.45f * head, 0.9f * s.base);
  if (kind == 2) {  // trunk, in two pieces, and tusks
    s.rod(skull + Vec{0.7f * head, 0, 0}, skull + Vec{1.5f * head, -1.6f * head, 0}, 0.38f * head, 0.24f * head, s.base);
    s.rod(skull + Vec{1.5f * head, -1.5f * head, 0}, skull + Vec{1.7f * head, -2.9f * head, 0}, 0.25f * head, 0.14f * head, s.base);
    for (const float z : {-0.4f, 0.4f})
      s.rod(skull + Vec{0.8f * head, -0.4f * head, z * head}, skull + Vec{1.9f * head, -0.8f * head, z * head}, 0.09f, 0.02f, 1);
  }
  const float ear = kind == 2 ? 0.85f * head : s.vary(0.35, 0.6) * head;
  for (const float z : {-0.75f, 0.75f})
    s.ball(skull + Vec{-0.35f * head, kind == 2 ? 0 : 0.9f * head, z * head}, {0.45f * ear, ear, kind == 2 ? 0.3f * ear : 0.2f * ear}, dark);
  for (const float z : {-0.62f, 0.62f}) s.ball(skull + Vec{0.55f * head, 0.25f * head, z * head}, {0.14f * head, 0.14f * head, 0.14f * head}, 0.05f);
  s.rod({-0.92f * length, 0.3f * girth, 0}, {-length - s.vary(0.1, 0.3), s.vary(-0.35, 0.3), 0}, 0.06f, 0.025f, dark);
}

inline void sketch_boat(Sketch& s, int kind) {  // sailing boat, motor boat, ship with funnels, yacht with two masts
  const float depth = s.vary(0.26, 0.36), beam = s.vary(0.2, 0.28) * (kind == 1 ? 1.2f : 1), light = std::min(1.0f, s.base + 0.3f);
  s.add({-0.95f, 0, 0}, {1, 0.06f, 0}, {0, 0, -1},
        {{0, 0, 0}, {0, 0.75f * beam, 0.8f * depth}, {0.3f, beam, depth}, {0.6f, beam, depth}, {0.85f, 0.55f * beam, 0.8f * depth}, {1, 0, 0.1f}},
        s.base)
      .top = 0.12f;
  if (kind == 0 || kind == 3) {
    const float height = s.vary(1.25, 1.6);
    for (const float x : kind == 0 ? std::array{0.1f, 0.1f} : std::array{0.35f, -0.45f}) {
      const float h = x < 0 ? 0.75f * height : height;
      s.rod({x, 0, 0}, {x, h, 0}, 0.03f, 0.02f, 0.25f);
      s.plate({x - 0.37f, 0.16f, 0}, {x - 0.04f, 0.95f * h, 0}, {1, 0, 0}, 0.33f, 0.012f, 0.01f, 0.005f, light);
      if (x > 0) s.plate({x + 0.33f, 0.14f, 0}, {x + 0.04f, 0.8f * h, 0}, {1, 0, 0}, 0.28f, 0.012f, 0.01f, 0.005f, 0.9f * light);
    }
  } else if (kind == 1) {
    s.block({0.05f, 0.13f, 0}, {s.vary(0.38, 0.5), 0.13f, 0.75f * beam}, light, 0.8f, 0.85f, -0.06f);
    s.block({-0.02f, 0.35f, 0}, {0.28f, 0.09f, 0.6f * beam}, 0.2f, 0.75f, 0.9f, -0.06f);
    s.block({-0.06f, 0.47f, 0}, {0.27f, 0.03f, 0.6f * beam}, light);
  } else {
    s.block({-0.1f, 0.14f, 0}, {0.62f, 0.12f, 0.75f * beam}, light);
    s.block({-0.05f, 0.35f, 0}, {0.45f, 0.09f, 0.6f * beam}, 0.85f * light);
    for (const float x : {-0.35f, -0.05f, 0.25f}) s.rod({x, 0.4f, 0}, {x - 0.04f, s.vary(0.72, 0.9), 0}, 0.09f, 0.085f, 0.3f);
  }
}

inline void sketch_car(Sketch& s, int kind) {  // saloon, van, pickup, sports car
  const float height = s.vary(0.15, 0.18) * (kind == 3 ? 0.8f : 1), width = s.vary(0.36, 0.42), wheel = s.vary(0.17, 0.2), length = s.vary(0.9, 1.0);
  const float glass = s.base > 0.4f ? 0.12f : 0.75f, floor = height + wheel;
  s.block({0, wheel + 0.5f * height, 0}, {length, 0.8f * height, width}, s.base, 0.96f, 0.97f);
  const float cabin = kind == 1   ? 0.85f * length
                      : kind == 2 ? 0.32f * length
                                  : s.vary(0.5, 0.58) * length,
              at = kind == 1   ? -0.1f
                   : kind == 2 ? 0.2f
                               : -0.08f;
  const float roof = kind == 1 ? 0.26f : kind == 3 ? 0.12f : 0.18f, top = floor + 2 * roof;
  s.block({at, floor + roof, 0}, {cabin, roof, 0.94f * width}, glass,
          kind == 1   ? 0.92f
          : kind == 2 ? 0.7f
                      : 0.62f,
          0.82f, kind == 1 ? -0.04f : -0.05f);
  s.block({at - 0.05f, top, 0}, {cabin * (kind == 1 ? 0.93f : 0.66f), 0.03f, 0.8f * width}, s.base);
  for (const float x : {-0.15f, 0.2f}) s.block({at - 0.03f + x, floor + roof, 0}, {0.025f, roof, 0.92f * width}, s.base, 1, 0.87f);
  if (kind == 2) s.block({-0.55f * length, floor + 0.05f, 0}, {0.4f * length, 0.05f, width}, 0.8f * s.base);
  for (const float x : {-0.6f, 0.62f})
    for (const float z : {-1.0f, 1.0f}) {
      const Vec hub{x * length, wheel, z * 0.9f * width};
      s.rod(hub, hub + Vec{0, 0, z * 0.16f * width}, wheel, wheel, 0.08f);
      s.rod(hub, hub + Vec{0, 0, z * 0.19f * width}, 0.5f * wheel, 0.45f * wheel, 0.75f);
    }
  for (const float z : {-0.65f, 0.65f}) s.ball({0.97f * length, floor - 0.05f, z * width}, {0.05f, 0.06f, 0.08f}, 1);
}

inline void sketch_chair(Sketch& s, int kind) {  // slatted, armchair, office chair, panelled
  const float width = s.vary(0.36, 0.44), depth = s.vary(0.34, 0.4), back = s.vary(0.7, 0.95) * (kind == 1 ? 0.8f : 1),
              leg = kind == 1 ? 0.18f : s.vary(0.55, 0.65), lean = -s.vary(0.04, 0.16);
  const float thick = kind == 1 ? 0.15f : 0.05f, post = s.vary(0.035, 0.055), dark = 0.7f * s.base;
  s.block({0, 0, 0}, {width, thick, depth}, s.base);
  const auto rail = [&](float x, float low, float high, float half) {
    s.plate({x, low * back, -depth + low * lean}, {x, high * back, -depth + high * lean}, {1, 0, 0}, half, 0.035f, half, 0.03f, s.base);
  };
  if (kind == 1) {
    s.plate({0, 0, -depth}, {0, back, -depth + lean}, {1, 0, 0}, width, 0.13f, 0.95f * width, 0.1f, s.base);
    for (const float x : {-1.0f, 1.0f}) s.block({x * width, 0.2f, 0}, {0.1f, 0.24f, depth}, 0.85f * s.base);
  } else if (kind == 2) {
    rail(0, 0, 0.5f, 0.05f), rail(0, 0.35f, 1, 0.85f * width);
  } else {
    rail(-width + post, 0, 1, post), rail(width - post, 0, 1, post);
    if (kind == 3) rail(0, 0.3f, 1, width);
    else
      for (const float y : {0.3f, 0.58f, 0.86f}) rail(0, y, y + 0.13f, width);
  }
  if (kind == 2) {
    s.rod({0, 0, 0}, {0, -leg, 0}, 0.06f, 0.06f, 0.2f);
    for (const Vec foot : {Vec{0.45f, 0, 0}, Vec{0.14f, 0, 0.43f}, Vec{-0.36f, 0, 0.26f}, Vec{-0.36f, 0, -0.26f}, Vec{0.14f, 0, -0.43f}})
      s.rod({0, -leg, 0}, foot - Vec{0, leg + 0.1f, 0}, 0.06f, 0.04f, 0.2f);
  } else {
    for (const float x : {-1.0f, 1.0f})
      for (const float z : {-1.0f, 1.0f})
        s.rod({x * (width - post), 0, z * (depth - post)}, {1.06f * x * (width - post), -leg - thick, 1.06f * z * (depth - post)}, post, 0.8f * post,
              dark);
  }
}

inline void sketch_face(Sketch& s, int kind) {  // short hair, long hair, bald with a beard, hat
  const float width = s.vary(0.52, 0.62), height = s.vary(0.76, 0.86), skin = 0.45f + 0.5f * s.base,
              hair = skin > 0.7f ? s.vary(0.05, 0.4) : s.vary(0.02, 0.12);
  const float eye = s.vary(0.2, 0.25), eye_y = s.vary(0.08, 0.16), front = 0.62f;
  s.ball({0, 0, 0}, {width, height, 0.68f}, skin);
  s.rod({0, -0.5f, -0.08f}, {0, -1.1f, -0.12f}, 0.27f, 0.32f, 0.85f * skin);
  if (kind != 2) s.ball({0, 0.24f, -0.16f}, {1.1f * width, 0.82f * height, 0.66f}, hair);
  if (kind == 1)
    for (const float x : {-1.0f, 1.0f}) s.limb({x * 0.85f * width, 0.5f, -0.1f}, {x * 1.08f * width, -0.85f, -0.1f}, 0.18f, 0.3f, hair);
  if (kind == 2) s.ball({0, -0.5f, 0.16f}, {0.75f * width, 0.42f, 0.48f}, hair);
  if (kind == 3)
    s.rod({0, 0.42f, 0.05f}, {0, 0.47f, 0.05f}, 1.45f * width, 1.4f * width, hair),
        s.rod({0, 0.4f, 0}, {0, 1.0f, 0}, 1.06f * width, 0.9f * width, hair);
  for (const float x : {-1.0f, 1.0f}) {
    s.ball({x * 1.02f * width, 0, -0.05f}, {0.08f, 0.17f, 0.12f}, 0.9f * skin);
    s.ball({x * eye, eye_y, front - 0.06f}, {0.125f, 0.07f, 0.08f}, 1);
    s.ball({x * eye, eye_y, front}, {0.055f, 0.06f, 0.06f}, 0.02f);
    s.plate({x * (eye - 0.13f), eye_y + 0.15f, front - 0.03f}, {x * (eye + 0.14f), eye_y + s.vary(0.14, 0.19), front - 0.09f}, {0, 1, 0}, 0.03f,
            0.05f, 0.02f, 0.05f, 0.6f * hair);
  }
  s.plate({0, eye_y - 0.02f, front - 0.02f}, {0, -0.2f, front + 0.1f}, {1, 0, 0}, 0.04f, 0.06f, s.vary(0.08, 0.12), 0.1f, 0.97f * skin);
  s.ball({0, -0.4f, 0.54f}, {s.vary(0.17, 0.25), s.vary(0.035, 0.07), 0.1f}, 0.25f);
}

inline void sketch_fruit(Sketch& s, int kind) {  // apple, pear, banana, grapes, pineapple, strawberry
  const float size = s.vary(0.9, 1.1), leaf = 0.3f;
  const auto stem = [&](float y, float lean) { s.rod({0, y, 0}, {lean, y + 0.3f, 0}, 0.035f, 0.05f, 0.15f); };
  if (kind == 0) {
    s.turned({0, -0.6f, 0}, {0, 0.55f, 0}, {0.2f, 0.5f * size, 0.66f * size, 0.72f * size, 0.72f * size, 0.64f, 0.4f, 0.1f}, s.base),
        stem(0.4f, s.vary(-0.1, 0.15));
    s.plate({0.03f, 0.55f, 0}, {0.42f, 0.75f, 0.05f}, {0, 0, 1}, 0.02f, 0.015f, 0.13f, 0.01f, leaf);
  } else if (kind == 1) {
    s.turned({0, -0.7f, 0}, {0, 0.75f, 0}, {0.2f, 0.52f * size, 0.6f * size, 0.54f * size, 0.38f, 0.27f, 0.24f, 0.12f}, s.base),
        stem(0.7f, s.vary(-0.15, 0.15));
  } else if (kind == 2) {
    const float curve = s.vary(0.75, 1.05);
    const auto along = [&](int i) {
      return Vec{std::sin(curve * static_cast<float>(i - 3) / 3), 1 - 1.4f * std::cos(curve * static_cast<float>(i - 3) / 3), 0};
    };
    constexpr float thick[] = {0.07f, 0.15f, 0.19f, 0.2f, 0.19f, 0.15f, 0.06f};
    for (int i = 0; i < 6; ++i) s.rod(along(i), along(i + 1), size * thick[i], size * thick[i + 1], s.base);
    s.rod(along(6), along(6) + Vec{0.08f, 0.14f, 0}, 0.06f, 0.05f, 0.2f);
  } else if (kind == 3) {
    for (int row = 0; row < 5; ++row)
      for (int i = 0; i < 5 - row; ++i) {
        const float turn = 6.2832f * (static_cast<float>(i) + 0.5f * static_cast<float>(row)) / static_cast<float>(5 - row),
                    r = 0.1f * static_cast<float>(4 - row) * size;
        s.ball({r * std::cos(turn), 0.45f - 0.27f * static_cast<float>(row), r * std::sin(turn)}, {0.23f, 0.23f, 0.23f}, s.base);
      }
    stem(0.5f, 0.08f);
  } else if (kind == 4) {
    for (int i = 0; i < 6; ++i) {  // rows of scales
      const float y = -0.8f + 0.19f * static_cast<float>(i), r = (i == 0 || i == 5 ? 0.34f : 0.42f) * size;
      s.turned({0, y, 0}, {0, y + 0.19f, 0}, {0.9f * r, r, 0.9f * r}, s.base);
    }
    for (int i = 0; i < 8; ++i) {
      const float turn = 0.785f * static_cast<float>(i), out = i % 2 ? 0.45f : 0.22f;
      s.rod({0, 0.3f, 0}, {out * std::cos(turn), i % 2 ? 0.75f : 1.0f, out * std::sin(turn)}, 0.1f, 0.01f, leaf);
    }
  } else {
    s.turned({0, -0.75f, 0}, {0, 0.5f, 0}, {0.04f, 0.24f, 0.4f * size, 0.52f * size, 0.58f * size, 0.5f, 0.15f}, s.base), stem(0.45f, 0.05f);
    for (int i = 0; i < 6; ++i)
      s.rod({0, 0.5f, 0}, {0.5f * std::cos(1.047f * static_cast<float>(i)), 0.38f, 0.5f * std::sin(1.047f * static_cast<float>(i))}, 0.12f, 0.01f,
            leaf);
  }
}

inline void sketch_plane(Sketch& s, int kind) {  // airliner, propeller plane, fighter, biplane
  const float body = s.vary(0.11, 0.14) * (kind == 2 ? 0.8f : 1), span = s.vary(0.8, 1.0) * (kind == 2 ? 0.6f : 1),
              sweep = kind == 0   ? 0.45f
                      : kind == 2 ? 0.5f
                                  : 0.05f,
              dark = 0.65f * s.base;
  const float chord = kind == 2 ? 0.48f : s.vary(0.16, 0.22),
              tip = kind == 2   ? 0.06f
                    : kind == 0 ? 0.4f * chord
                                : 0.85f * chord,
              wing_y = kind == 1 ? 0.9f * body : -0.3f * body;
  s.limb({-1, 0.03f, 0}, {kind % 2 ? 0.72f : 1, 0, 0}, body, body, s.base, kind == 0 ? 1.1f : 1.4f);
  for (const float z : {-1.0f, 1.0f}) {
    const auto wing = [&](float x, float y, float half, float c, float c_end, float back) {
      s.plate({x, y, 0}, {x - back, y + 0.05f, z * half}, {1, 0, 0}, c, 0.03f, c_end, 0.015f, 0.9f * s.base);
    };
    wing(kind == 2 ? -0.1f : 0.1f, wing_y, span, chord, tip, sweep * span);
    if (kind == 3)
      wing(0.12f, 3.4f * body, span, chord, tip, 0),
          s.rod({0.1f, wing_y, z * 0.6f * span}, {0.1f, 3.4f * body, z * 0.6f * span}, 0.025f, 0.025f, dark);
    wing(-0.85f, 0.06f, 0.36f * (kind == 2 ? 0.9f : 1), 0.14f, 0.08f, 0.5f * sweep * 0.4f);
    if (kind == 0) s.limb({-0.1f, -0.9f * body, z * 0.38f * span}, {0.22f, -0.9f * body, z * 0.38f * span}, 0.075f, 0.075f, dark);
    if (kind == 0 && s.chance(0.5)) s.limb({-0.28f, -0.7f * body, z * 0.66f * span}, {0, -0.7f * body, z * 0.66f * span}, 0.06f, 0.06f, dark);
  }
  s.plate({-0.82f, 0, 0}, {-0.98f, s.vary(0.38, 0.48), 0}, {1, 0, 0}, 0.18f, 0.025f, 0.09f, 0.015f, dark);
  if (kind % 2) s.rod({0.74f, 0, 0}, {0.76f, 0, 0}, 0.3f, 0.3f, 0.45f), s.ball({0.74f, 0, 0}, {0.08f, 0.07f, 0.07f}, 0.2f);
  if (kind) s.ball({0.35f, 0.9f * body, 0}, {0.2f, 0.6f * body, 0.7f * body}, 0.15f);
}

inline void sketch_table(Sketch& s, int kind) {  // four legs, round on a pedestal, desk, trestle
  const float length = s.vary(0.8, 1.0) * (kind == 1 ? 0.85f : 1), depth = s.vary(0.42, 0.58), leg = s.vary(0.6, 0.75), thick = s.vary(0.03, 0.06),
              post = s.vary(0.045, 0.075), dark = 0.75f * s.base;
  if (kind == 1) {
    s.rod({0, -thick, 0}, {0, thick, 0}, length, length, s.base), s.rod({0, 0, 0}, {0, -leg, 0}, 1.6f * post, 1.3f * post, dark),
        s.rod({0, -leg, 0}, {0, -leg - 0.06f, 0}, 0.42f, 0.48f, dark);
    return;
  }
  s.block({0, 0, 0}, {length, thick, depth}, s.base);
  if (kind == 3) {
    for (const float x : {-0.7f, 0.7f})
      for (const float z : {-1.0f, 1.0f})
        s.plate({x * length, 0, -0.6f * z * depth}, {x * length, -leg, 0.85f * z * depth}, {1, 0, 0}, post, 0.7f * post, post, 0.7f * post, dark);
    s.block({0, -0.55f * leg, 0}, {0.7f * length, 0.04f, 0.05f}, dark);
    return;
  }
  for (const float x : {-1.0f, 1.0f})
    for (const float z : {-1.0f, 1.0f})
      s.plate({x * (length - post), 0, z * (depth - post)}, {x * (length - post), -leg, z * (depth - post)}, {1, 0, 0}, post, post, 0.7f * post,
              0.7f * post, dark);
  s.block({0, -0.09f, 0}, {0.93f * length, 0.07f, 0.9f * depth}, dark);
  if (kind == 2)
    for (const float y : {-0.17f, -0.4f})
      s.block({0.6f * length, y, 0.02f}, {0.32f * length, 0.105f, 0.95f * depth}, y < -0.3f ? s.base : 0.85f * s.base);
}

constexpr int categories = 8;
struct View {
  float yaw, pitch;
};
constexpr View usual_view[] = {{-0.5f, 0.2f},   {-0.5f, 0.25f}, {-0.6f, 0.35f}, {-0.6f, 0.35f},
                               {-0.25f, 0.05f}, {-0.2f, 0.25f}, {-0.8f, 0.6f},  {-0.5f, 0.4f}};

/// Exemplar `number` of a category: its kind and all its proportions follow from these two numbers.
inline std::vector<Loft> sketch_object(int category, int number) {
  using Draw = void (*)(Sketch&, int);
  constexpr Draw draw[] = {sketch_animal, sketch_boat, sketch_car, sketch_chair, sketch_face, sketch_fruit, sketch_plane, sketch_table};
  Sketch s(Random(0x0b1ec7).fork(static_cast<std::uint64_t>(category)).fork(static_cast<std::uint64_t>(number)));
  s.base = s.vary(0.4, 0.9);
  draw[category](s, number % (category == 5 ? 6 : 4));
  return std::move(s.parts);
}

}  // namespace ventral::inline v0::detail::objects
