#pragma once
#include <cstdint>
#include <span>

#include "ventral/version.hpp"

namespace ventral::inline v0::detail::strokes {

/// How the pen passes a knot: puts down here, goes through smoothly, or turns sharply.
enum class Pen : std::uint8_t { smooth, start, corner };

/// A point that a stroke passes through, in percent of the digit's height: x to the right, y down.
struct Knot {
  std::int8_t x = 0, y = 0;
  Pen pen = Pen::smooth;
};

/// One way of writing a digit, and how common it is among the digit's ways.
struct Glyph {
  std::uint8_t digit;
  float weight;
  std::uint8_t count;
  Knot knots[16];
};

constexpr Pen start = Pen::start, corner = Pen::corner;

/// The ways of writing, in the order of the digits. Drawn for ventral.
constexpr Glyph glyphs[] = {
    // 0: round, narrow, with a flourish at the top
    {0, 5, 9, {{50, 2, start}, {24, 12}, {10, 46}, {20, 86}, {48, 99}, {76, 84}, {88, 46}, {74, 12}, {48, 3}}},
    {0, 3, 9, {{48, 0, start}, {32, 18}, {26, 54}, {34, 90}, {50, 100}, {66, 88}, {72, 50}, {64, 14}, {46, 2}}},
    {0, 3, 11, {{64, 12, start}, {46, 1}, {20, 15}, {10, 50}, {22, 88}, {50, 99}, {80, 84}, {90, 48}, {76, 14}, {56, 5}, {38, 12}}},
    // 1: a line, a bent line, with a flag, with flag and foot
    {1, 5, 2, {{50, 0, start}, {50, 100}}},
    {1, 3, 3, {{53, 0, start}, {47, 48}, {52, 100}}},
    {1, 2, 3, {{26, 26, start}, {52, 0, corner}, {52, 100}}},
    {1, 1, 5, {{28, 24, start}, {52, 0, corner}, {52, 100}, {20, 100, start}, {84, 99}}},
    // 2: angular foot, looped foot, straight back, swan
    {2, 4, 8, {{12, 24, start}, {30, 4}, {62, 2}, {80, 24}, {60, 56}, {32, 80}, {8, 98, corner}, {92, 97}}},
    {2, 4, 11, {{12, 22, start}, {34, 2}, {68, 5}, {80, 30}, {56, 64}, {24, 92}, {8, 91}, {13, 77}, {34, 80}, {60, 95}, {94, 88}}},
    {2, 1, 5, {{12, 14, start}, {46, 2}, {82, 16}, {10, 97, corner}, {90, 97}}},
    {2, 2, 8, {{20, 16, start}, {48, 0}, {76, 20}, {58, 56}, {14, 95, corner}, {40, 87}, {66, 98}, {95, 88}}},
    // 3: a sharp waist, a smooth one, a flat top, a looped waist
    {3, 4, 9, {{15, 12, start}, {44, 0}, {76, 14}, {70, 36}, {38, 47, corner}, {74, 58}, {84, 80}, {50, 100}, {10, 88}}},
    {3, 3, 9, {{18, 10, start}, {50, 1}, {76, 20}, {64, 40}, {40, 48}, {66, 54}, {84, 76}, {55, 99}, {12, 90}}},
    {3, 1, 7, {{15, 4, start}, {80, 3, corner}, {42, 42, corner}, {72, 50}, {84, 75}, {55, 99}, {12, 88}}},
    {3, 2, 10, {{18, 12, start}, {52, 0}, {76, 18}, {54, 44}, {36, 50}, {40, 42}, {74, 56}, {80, 84}, {42, 100}, {12, 88}}},
    // 4: open, closed, bowl-shaped, with a long crossbar
    {4, 4, 6, {{22, 2, start}, {18, 30}, {12, 58, corner}, {88, 54}, {68, 8, start}, {62, 100}}},
    {4, 2, 5, {{62, 100, start}, {62, 50}, {62, 0, corner}, {8, 66, corner}, {92, 64}}},
    {4, 4, 8, {{18, 4, start}, {12, 34}, {26, 54}, {54, 50}, {78, 38}, {82, 2, start}, {77, 50}, {70, 100}}},
    {4, 2, 6, {{34, 0, start}, {22, 30}, {6, 62, corner}, {98, 60}, {70, 26, start}, {62, 100}}},
    // 5: one stroke, a separate bar, shaped like an S
    {5, 4, 8, {{80, 3, start}, {28, 4, corner}, {22, 45, corner}, {52, 38}, {82, 62}, {68, 92}, {38, 100}, {8, 88}}},
    {5, 4, 8, {{30, 5, start}, {24, 44, corner}, {54, 36}, {82, 62}, {64, 95}, {12, 92}, {30, 5, start}, {86, 1}}},
    {5, 2, 8, {{84, 4, start}, {46, 6}, {26, 28}, {50, 45}, {78, 62}, {70, 92}, {40, 100}, {10, 88}}},
    // 6: round, upright, with a curl at the top
    {6, 4, 9, {{68, 2, start}, {36, 24}, {15, 60}, {22, 92}, {52, 100}, {80, 82}, {74, 60}, {48, 54}, {20, 72}}},
    {6, 3, 8, {{44, 0, start}, {26, 40}, {16, 76}, {36, 99}, {68, 95}, {78, 74}, {56, 58}, {22, 74}}},
    {6, 3, 10, {{82, 12, start}, {62, 0}, {32, 18}, {12, 55}, {20, 90}, {50, 100}, {80, 86}, {80, 63}, {52, 51}, {18, 68}}},
    // 7: plain, crossed, with a serif, with a bent roof
    {7, 4, 4, {{10, 8, start}, {84, 5, corner}, {60, 46}, {42, 100}}},
    {7, 2, 6, {{10, 8, start}, {84, 5, corner}, {60, 46}, {42, 100}, {30, 53, start}, {80, 48}}},
    {7, 2, 5, {{10, 22, start}, {12, 5, corner}, {86, 4, corner}, {56, 50}, {46, 100}}},
    {7, 3, 5, {{8, 16, start}, {36, 6}, {84, 8, corner}, {68, 42}, {40, 98}}},
    // 8: one stroke, two rings, one stroke open at the top
    {8, 4, 12, {{74, 14, start}, {50, 0}, {24, 15}, {32, 38}, {56, 52}, {80, 76}, {54, 100}, {20, 82}, {40, 55}, {66, 35}, {76, 15}, {58, 2}}},
    {8, 3, 14, {{50, 0, start}, {26, 11}, {28, 38}, {50, 47}, {74, 36}, {76, 12}, {48, 0},
                {50, 47, start}, {20, 64}, {20, 90}, {52, 100}, {82, 90}, {80, 62}, {48, 47}}},
    {8, 2, 9, {{80, 8, start}, {46, 2}, {26, 22}, {50, 46}, {76, 72}, {54, 99}, {24, 82}, {44, 52}, {82, 18}}},
    // 9: straight stem, curled stem, closed ring with a slanting stem
    {9, 4, 8, {{78, 18, start}, {50, 0}, {18, 20}, {28, 48}, {62, 44}, {80, 12, corner}, {78, 56}, {72, 100}}},
    {9, 3, 9, {{80, 20, start}, {50, 1}, {18, 22}, {28, 50}, {60, 46}, {82, 16}, {84, 60}, {66, 96}, {26, 96}}},
    {9, 3, 8, {{74, 26, start}, {48, 2}, {20, 22}, {30, 48}, {60, 46}, {76, 20}, {70, 58}, {48, 100}}},
};

/// The ways of writing one digit.
constexpr std::span<const Glyph> glyphs_of(int digit) {
  std::size_t first = 0;
  while (glyphs[first].digit != digit) ++first;
  std::size_t last = first;
  while (last < std::size(glyphs) && glyphs[last].digit == digit) ++last;
  return std::span<const Glyph>(glyphs).subspan(first, last - first);
}

}  // namespace ventral::inline v0::detail::strokes
