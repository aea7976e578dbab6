#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace ventral::inline v0::report {

/// Series that have a colour, a hatch and a marker of their own; further ones begin again.
constexpr int series_styles = 6;

/// Colours and lines of all figures. Light and dark follow the reader's setting; series colours after Okabe and Ito 2008 ("Color universal design"),
/// and each series also has a hatch and a marker.
constexpr std::string_view figure_css =
    R"(:root{color-scheme:light dark;--ground:#fff;--ink:#1b1b1b;--soft:#565656;--line:#8a8a8a;--grid:#e6e6e6;--band:#d8d8d8;--control:#bdbdbd;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#b0578d;--s4:#c78500;--s5:#3a9bd6}
@media (prefers-color-scheme:dark){:root{--ground:#15171a;--ink:#ececec;--soft:#b4b4b4;--line:#868686;--grid:#2e3136;--band:#3b3f45;--control:#6d6d6d;
--s0:#4aa8e0;--s1:#f0803c;--s2:#2fc497;--s3:#dd8fbe;--s4:#e8b23a;--s5:#8fd0f7}}
svg.figure{font:12px system-ui,"Segoe UI","Helvetica Neue",Arial,sans-serif;color:var(--ink)}
svg.figure text{fill:var(--ink)}
svg.figure .title{font-size:14px;font-weight:600}
svg.figure .soft{fill:var(--soft)}
svg.figure .small{font-size:11px}
svg.figure .halo{paint-order:stroke;stroke:var(--ground);stroke-width:3px;stroke-linejoin:round}
svg.figure .axis{stroke:var(--ink);stroke-width:1;fill:none}
svg.figure .grid{stroke:var(--grid);stroke-width:1}
svg.figure .rule{stroke:var(--line);stroke-width:1;fill:none}
svg.figure .split{stroke:#fff;stroke-width:1.2}
svg.figure .whisker{stroke:var(--ink);stroke-width:1.3;fill:none}
svg.figure .band{fill:var(--band)}
svg.figure .edge{stroke:var(--soft);stroke-width:1;stroke-dasharray:5 3}
svg.figure .fit{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:6 4}
svg.figure .outline{fill:none;stroke:var(--ink);stroke-width:.8}
svg.figure .actual{fill:none;stroke:var(--ink);stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}
svg.figure .predicted{fill:none;stroke:var(--s1);stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
svg.figure .dashed{stroke-dasharray:5 4}
svg.figure .control{fill:var(--control)}
svg.figure .missing{fill:url(#v-missing)}
svg.figure .s0{fill:var(--s0)}svg.figure .s1{fill:var(--s1)}svg.figure .s2{fill:var(--s2)}
svg.figure .s3{fill:var(--s3)}svg.figure .s4{fill:var(--s4)}svg.figure .s5{fill:var(--s5)}
svg.figure .hc{fill:url(#v-hc)}svg.figure .h0{fill:none}svg.figure .h1{fill:url(#v-h1)}svg.figure .h2{fill:url(#v-h2)}
svg.figure .h3{fill:url(#v-h3)}svg.figure .h4{fill:url(#v-h4)}svg.figure .h5{fill:url(#v-h5)}
svg.figure .mark{stroke:var(--ground);stroke-width:1}
.hatches line,.hatches path{stroke:var(--ground);stroke-width:1.4;fill:none}
.hatches circle{fill:var(--ground)}.hatches .on-ground{stroke:var(--ink);stroke-width:1.1}.hatches rect{fill:var(--ground)}
@media print{svg.figure,svg.figure *{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)";

/// The hatches that figure_css names; once in a page, or in a figure that stands alone.
constexpr std::string_view hatch_definitions = R"svg(<defs class="hatches">
<pattern id="v-hc" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line x1="1" y1="0" x2="1" y2="6"/></pattern>
<pattern id="v-h1" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><line x1="1" y1="0" x2="1" y2="7"/></pattern>
<pattern id="v-h2" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.3"/></pattern>
<pattern id="v-h3" width="6" height="6" patternUnits="userSpaceOnUse"><line x1="0" y1="3" x2="6" y2="3"/></pattern>
<pattern id="v-h4" width="7" height="7" patternUnits="userSpaceOnUse"><path d="M0 0L7 7M7 0L0 7"/></pattern>
<pattern id="v-h5" width="6" height="6" patternUnits="userSpaceOnUse"><line x1="3" y1="0" x2="3" y2="6"/></pattern>
<pattern id="v-missing" width="3" height="3" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="3" height="3"/><line class="on-ground" x1="1" y1="0" x2="1" y2="3"/></pattern>
</defs>
)svg";

/// Red, green, blue of a part in [0,1]: dark violet over blue-green to light yellow, the lightness rising evenly (OKLab, Ottosson 2020), so that the
/// order survives grey print and every kind of colour blindness.
inline std::array<std::uint8_t, 3> colour_of(double part) {
  const double t = part < 0 ? 0 : part > 1 ? 1 : part, pi = 3.141592653589793;
  const double lightness = 0.24 + 0.72 * t, hue = (300 - 195 * t) * pi / 180, chroma = 0.085 + 0.055 * std::sin(pi * t) * (1 - t) + 0.03 * t * t;
  const double a = chroma * std::cos(hue), b = chroma * std::sin(hue);
  const auto cubed = [](double v) { return v * v * v; };
  const double l = cubed(lightness + 0.3963377774 * a + 0.2158037573 * b), m = cubed(lightness - 0.1055613458 * a - 0.0638541728 * b),
               s = cubed(lightness - 0.0894841775 * a - 1.2914855480 * b);
  const auto encoded = [](double linear) {
    const double v = linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
    return static_cast<std::uint8_t>(std::lround(255 * (v < 0 ? 0 : v > 1 ? 1 : v)));
  };
  return {encoded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s), encoded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          encoded(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

}  // namespace ventral::inline v0::report
