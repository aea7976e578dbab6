#include "ventral/report/svg.hpp"

#include <doctest/doctest.h>

#include <clocale>

#include "temporary.hpp"
#include "ventral/report/axes.hpp"
#include "ventral/report/png.hpp"
#include "well_formed.hpp"

using namespace ventral;
using namespace ventral::report;

TEST_CASE("svg: text is escaped, control characters and malformed UTF-8 are replaced") {
  CHECK(escaped("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(escaped(std::string_view("\0\x01\x1B\x7F", 4)) == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(escaped("line\nnext\ttab") == "line\nnext\ttab");
  CHECK(escaped("\xC3\xA9\xE4\xBA\xBA\xF0\x9F\x90\x92") == "\xC3\xA9\xE4\xBA\xBA\xF0\x9F\x90\x92");
  const std::string bad = "\xEF\xBF\xBD";
  CHECK(escaped("\x80x") == bad + "x");
  CHECK(escaped("\xC3") == bad);
  CHECK(escaped("\xC0\xAF") == bad + bad);                      // overlong
  CHECK(escaped("\xED\xA0\x80") == bad + bad + bad);            // a surrogate
  CHECK(escaped("\xF4\x90\x80\x80") == bad + bad + bad + bad);  // above U+10FFFF
  CHECK(escaped("\xEF\xBF\xBE") == bad);                        // U+FFFE, which XML forbids
  CHECK(escaped("\xC2\x85") == bad);                            // a C1 control
}

TEST_CASE("svg: numbers do not depend on the locale and are never nan or inf in coordinates") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "C.UTF-8"}) {
    std::setlocale(LC_ALL, name);
    CHECK(number(0.125) == "0.125");
    CHECK(number(1234.5, 6) == "1234.5");
    CHECK(coordinate(0.5) == "0.5");
  }
  std::setlocale(LC_ALL, before.c_str());
  CHECK(number(NAN) == "undefined");
  CHECK(number(-INFINITY) == "-infinite");
  CHECK(number(-0.0) == "0");
  CHECK(exact_number(0.1) == "0.1");
  CHECK(exact_number(1.0 / 3) == "0.3333333333333333");
  CHECK(exact_number(NAN) == "NaN");
  CHECK(coordinate(NAN) == "0");
  CHECK(coordinate(INFINITY) == "0");
  CHECK(coordinate(-0.001) == "0");
  CHECK(coordinate(1e300) == "1000000");
  CHECK(coordinate(12.345) == "12.35");
  CHECK(coordinate(100) == "100");
}

TEST_CASE("svg: significance marks and p values") {
  CHECK(stars(0.05) == "n.s.");
  CHECK(stars(0.0499) == "*");
  CHECK(stars(0.01) == "*");
  CHECK(stars(0.0099) == "**");
  CHECK(stars(0.0009) == "***");
  CHECK(stars(0.00009) == "****");
  CHECK(stars(NAN).empty());
  CHECK(p_value(0) == "P < 0.0001");
  CHECK(p_value(0.0123) == "P = 0.012");
  CHECK(p_value(NAN) == "P undefined");
}

TEST_CASE("svg: text is measured, wrapped and shortened") {
  CHECK(text_width("", 12) == 0);
  CHECK(text_width("iii", 10) < text_width("mmm", 10));
  CHECK(text_width("\xE4\xBA\xBA", 10) == doctest::Approx(10));
  CHECK(wrapped("one two three", 1e9, 12) == std::vector<std::string>{"one two three"});
  CHECK(wrapped("one two  three", 1, 12) == std::vector<std::string>{"one", "two", "three"});
  CHECK(wrapped("", 10, 12).empty());
  CHECK(shortened("short", 100, 12) == "short");
  const std::string cut = shortened("a very long name of a model 17", 90, 12);
  CHECK(text_width(cut, 12) <= 92);
  CHECK(cut.starts_with("a v"));
  CHECK(cut.ends_with("17"));
  CHECK(escaped(shortened("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 40, 12)).find("\xEF\xBF\xBD") ==
        std::string::npos);  // never cut inside a character
}

TEST_CASE("svg: base64 and PNG are what the standards say") {
  const auto encoded = [](std::string_view s) { return base64(ByteSpan(reinterpret_cast<const std::uint8_t*>(s.data()), s.size())); };
  CHECK(encoded("") == "");
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foobar") == "Zm9vYmFy");  // RFC 4648
  const std::uint8_t pixels[] = {0, 1};
  const std::array<std::uint8_t, 3> palette[] = {{1, 2, 3}, {4, 5, 6}};
  const Bytes png = encode_palette_png(pixels, 2, 1, palette);
  // IHDR, PLTE and tRNS with their checksums; IDAT of one stored block: filter 0, pixels 0 1; Adler 0x00040002.
  const Bytes expected = {0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0};
  CHECK(Bytes(png.begin(), png.begin() + static_cast<long>(expected.size())) == expected);
  const Bytes end = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xAE, 0x42, 0x60, 0x82};
  CHECK(Bytes(png.end() - 12, png.end()) == end);
  const Bytes data = {0x78, 1, 1, 3, 0, 0xFC, 0xFF, 0, 0, 1, 0, 4, 0, 2};
  CHECK(std::search(png.begin(), png.end(), data.begin(), data.end()) != png.end());
  CHECK_THROWS_WITH_AS(static_cast<void>(encode_palette_png(pixels, 2, 2, palette)), "encode_palette_png: 2 pixels for 2 x 2, 2 colours (1 to 256)",
                       ShapeError);
}

TEST_CASE("svg: the colours of an RDM grow lighter evenly") {
  double before = -1;
  for (int i = 0; i <= 254; ++i) {
    const auto c = colour_of(i / 254.0);
    const auto linear = [](double v) { return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4); };
    const double y = 0.2126 * linear(c[0] / 255.0) + 0.7152 * linear(c[1] / 255.0) + 0.0722 * linear(c[2] / 255.0);
    const double lightness = y > 0.008856 ? 116 * std::cbrt(y) - 16 : 903.3 * y;  // CIE L*
    CHECK(lightness > before - 0.12);                                             // rounding to 8 bits
    if (i > 0) CHECK(lightness - before < 1.5);
    before = lightness;
  }
  CHECK(colour_of(-1) == colour_of(0));
  CHECK(colour_of(2) == colour_of(1));
}

TEST_CASE("svg: axes have round ticks over any range") {
  const Axis a = nice_axis(0, 0.52);
  CHECK(a.low == 0);
  CHECK(a.high == doctest::Approx(0.6));
  CHECK(a.ticks() == 4);
  CHECK(a.tick_label(1) == "0.2");
  CHECK(a.tick_label(0) == "0.0");
  CHECK(nice_axis(-3, 7, 5).tick(0) == -4);
  CHECK(nice_axis(0, 1000, 5).tick_label(5) == "1000");
  const double ranges[][2] = {{0, 0}, {5, 5}, {-1e300, 1e300}, {1e-300, 2e-300}, {1e9, 1e9 + 1}, {-1e-7, 3e-7}, {0, 1e7}};
  for (const auto& range : ranges) {
    const double low = range[0], high = range[1];
    const Axis x = nice_axis(low, high);
    INFO(low, " ", high, ": ", x.low, " ", x.high, " ", x.step);
    CHECK(x.low < x.high);
    CHECK(x.ticks() >= 2);
    CHECK(x.ticks() <= 12);
    CHECK(std::isfinite(x.part(std::clamp(low, -1e250, 1e250))));
    CHECK(x.tick_label(0) != x.tick_label(1));
  }
}

TEST_CASE("svg: tables become CSV and HTML") {
  Table t({"name, quoted", "x"});
  t.add({"a \"b\"\nc", 0.1});
  t.add({"<i>", NAN});
  t.add({std::string("plain"), 3});
  CHECK(t.csv() == "\"name, quoted\",x\n\"a \"\"b\"\"\nc\",0.1\n<i>,NaN\nplain,3\n");
  CHECK(test::xml_fault(t.html()) == "");
  CHECK(t.html().find("&lt;i&gt;") != std::string::npos);
  CHECK(t.html().find("undefined") != std::string::npos);
  CHECK(t.html(1).find("The first 1 of 3 rows") != std::string::npos);
  CHECK_THROWS_WITH_AS(t.add({"a"}), "report::Table: a row of 1 cells; the table has 2 columns", ShapeError);
}

TEST_CASE("svg: shapes are well formed, hints and labels escaped, and a figure stands alone") {
  Svg svg(100, 50, "<label> & \"quotes\"");
  svg.rect(NAN, 1, -5, INFINITY, "s0", "hint <b>");
  svg.text(1, 2, "\x02<text>", "small", Anchor::middle, -45);
  svg.path("M0 0L1 1", "axis");
  svg.image(0, 0, 1, 1, Bytes{1, 2, 3});
  for (int i = 0; i < 7; ++i) svg.marker(10, 10, 5, i, "s1");
  const std::string text = svg.str();
  CHECK(test::xml_fault(text) == "");
  CHECK(test::coordinate_fault(text) == "");
  CHECK(text.find("width=\"0\" height=\"0\" class=\"s0\"") != std::string::npos);
  CHECK(text.find("<title>hint &lt;b&gt;</title></rect>") != std::string::npos);
  CHECK(text.find("data:image/png;base64,AQID") != std::string::npos);

  const test::TemporaryFolder folder;
  write_svg(folder / "a.svg", Figure{"t", text, {}, {}, {}});
  const Bytes bytes = read_file(folder / "a.svg");
  const std::string whole(bytes.begin(), bytes.end());
  CHECK(test::xml_fault(whole) == "");
  CHECK(whole.find("--s0:") != std::string::npos);
  CHECK(whole.find("id=\"v-missing\"") != std::string::npos);
  CHECK_THROWS_AS(write_svg(folder / "b.svg", Figure{}), Error);
}

TEST_CASE("svg: the checker of these tests finds faults") {
  CHECK(test::xml_fault("<a><b></a></b>") != "");
  CHECK(test::xml_fault("<a>&nbsp;</a>") != "");
  CHECK(test::xml_fault("<a x=1/>") != "");
  CHECK(test::xml_fault("<a>") != "");
  CHECK(test::xml_fault("<a>1 < 2</a>") != "");
  CHECK(test::coordinate_fault("<rect x=\"nan\"/>") != "");
}
