#include <doctest/doctest.h>

#include "temporary.hpp"
#include "ventral/random.hpp"
#include "ventral/report/bars.hpp"
#include "ventral/report/page.hpp"
#include "ventral/report/rdm_picture.hpp"
#include "ventral/report/scatter.hpp"
#include "well_formed.hpp"

using namespace ventral;
using namespace ventral::report;

namespace {

constexpr const char* nasty = "<b>\"x\" & 'y'\x01\xFF \xC3\xA9";

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

void check_drawn(const Figure& f) {
  CHECK(test::xml_fault(f.svg) == "");
  CHECK(test::coordinate_fault(f.svg) == "");
}

brain::Rdm random_rdm(Index n, std::uint64_t seed) {
  brain::Rdm rdm(n);
  Random random(seed);
  for (double& v : rdm.values()) v = random.uniform();
  return rdm;
}

}  // namespace

TEST_CASE("report: rank percentiles share ties, leave NaN out and are 50 for one value") {
  const double values[] = {3, 1, NAN, 1, 7};
  const auto p = rank_percentiles(values);
  CHECK(p[0] == doctest::Approx(200.0 / 3));
  CHECK(p[1] == doctest::Approx(50.0 / 3));
  CHECK(p[3] == p[1]);
  CHECK(std::isnan(p[2]));
  CHECK(p[4] == 100);
  const double one[] = {4};
  CHECK(rank_percentiles(one)[0] == 50);
  const double same[] = {2, 2, 2};
  CHECK(rank_percentiles(same) == std::vector<double>{50, 50, 50});
}

TEST_CASE("report: an RDM is one picture of one pixel for each pair, with its numbers beside it") {
  brain::Rdm rdm(4);
  const double values[] = {0.5, 0.25, 1, 2, NAN, 4};
  std::copy(std::begin(values), std::end(values), rdm.values().begin());
  const Figure f = draw(RdmPicture{nasty, rdm, {{"animals <1>", 0, 2}, {"things", 2, 4}}, {"a", "b,c", "d", "e"}});
  check_drawn(f);
  CHECK(has(f.svg, "animals &lt;1&gt;"));
  CHECK(has(f.svg, "undefined"));
  CHECK(has(f.note, "1 of 6 pairs are undefined"));
  REQUIRE(f.attachments.size() == 2);
  const auto back = parse_npy<double>(f.attachments[0].bytes, "rdm.npy");
  CHECK(back.shape() == Shape{6});
  CHECK(back[3] == 2);
  CHECK(std::isnan(back[4]));
  const std::string csv(f.attachments[1].bytes.begin(), f.attachments[1].bytes.end());
  CHECK(csv == "first,second,dissimilarity,percentile\na,\"b,c\",0.5,25\na,d,0.25,0\na,e,1,50\n\"b,c\",d,2,75\n\"b,c\",e,NaN,NaN\nd,e,4,100\n");

  // the pixels: 4 rows of a filter byte and 4 colours; 0 on the diagonal, 255 the transparent colour of NaN
  const Bytes png = report::detail::rdm_png(brain::Rdm(rank_percentiles(rdm.values())), 1000);
  const Bytes rows = {0, 0, 64, 0, 127, 0, 64, 0, 191, 255, 0, 0, 191, 0, 254, 0, 127, 255, 254, 0};
  CHECK(std::search(png.begin(), png.end(), rows.begin(), rows.end()) != png.end());
}

TEST_CASE("report: large RDMs stay small and say when pixels are means") {
  const Figure f = draw(RdmPicture{"300", random_rdm(300, 1)});
  CHECK(f.svg.size() < 130000);
  const Figure pooled = draw(RdmPicture{"1001", random_rdm(1001, 2)});
  check_drawn(pooled);
  CHECK(pooled.svg.size() < 400000);
  CHECK(has(pooled.note, "mean of 2 x 2 pairs"));
  CHECK(pooled.attachments.size() == 1);
  CHECK(!has(f.svg, "undefined"));
}

TEST_CASE("report: an RDM of nothing, all undefined, or with wrong blocks or names") {
  CHECK(has(draw(RdmPicture{"none"}).svg, "no conditions"));
  brain::Rdm rdm(3);
  for (double& v : rdm.values()) v = NAN;
  check_drawn(draw(RdmPicture{"undefined", rdm}));
  CHECK(has(draw(RdmPicture{"undefined", rdm}).note, "3 of 3 pairs"));
  CHECK_THROWS_WITH_AS(static_cast<void>(draw(RdmPicture{"t", rdm, {{"b", 2, 4}}})), "RdmPicture: block 'b' of conditions 2 to 4; there are 3",
                       Error);
  CHECK_THROWS_WITH_AS(static_cast<void>(draw(RdmPicture{"t", rdm, {}, {"a"}})), "RdmPicture: 1 names for 3 conditions", ShapeError);
}

TEST_CASE("report: bars carry values, marks, ceilings, controls and comparisons") {
  BarChart chart{.title = nasty,
                 .y_label = "tau-a",
                 .bars = {{"V1", 0.1, 0.02, 0.2, true}, {"IT <layer>", 0.3, 0.03, 0.00001}, {"none", NAN, NAN, NAN}, {"low", -0.1, 0.02, 0.03}}};
  chart.ceilings = {{0.25, 0.4}};
  chart.comparisons = {{0, 1, 0.002}, {0, 3, 0.5}};
  const Figure f = draw(chart);
  check_drawn(f);
  CHECK(has(f.svg, ">n.s.</text>"));
  CHECK(has(f.svg, ">****</text>"));
  CHECK(has(f.svg, ">**</text>"));
  CHECK(has(f.svg, ">undefined</text>"));
  CHECK(has(f.svg, "noise ceiling"));
  CHECK(has(f.svg, "0.25 \xE2\x80\x93 0.4"));
  CHECK(has(f.svg, "IT &lt;layer&gt;: 0.3 +- 0.03, P &lt; 0.0001"));
  CHECK(test::count_of(f.svg, "class=\"control\"") == 1);
  CHECK(test::count_of(f.svg, "class=\"hc\"") == 1);
  CHECK(test::count_of(f.svg, "class=\"whisker\"") == 3);
  CHECK(has(f.note, "Comparisons without a line"));
  const std::string csv = f.numbers.csv();
  CHECK(has(csv, "V1,,,yes,0.1,0.02,0.08,0.12"));
  CHECK(has(csv, "none,,,no,NaN,NaN,NaN,NaN,NaN,\n"));
  CHECK(has(csv, "noise ceiling,,,,NaN,NaN,0.25,0.4,NaN,"));
  CHECK(has(csv, "V1 against low,"));
  CHECK(has(draw(BarChart{"empty", "y"}).svg, "no bars"));
  chart.comparisons = {{0, 4, 0.1}};
  CHECK_THROWS_WITH_AS(static_cast<void>(draw(chart)), "BarChart: comparison of bars 0 and 4; there are 4, from 0", Error);
}

TEST_CASE("report: bars of every number, size and sign stay inside the picture") {
  Random random(3);
  for (const int n : {1, 2, 7, 25, 60})
    for (const double size : {1e-12, 1.0, 1e12, 1e305}) {
      BarChart chart{"title", "label"};
      for (int i = 0; i < n; ++i)
        chart.bars.push_back({"a rather long name " + std::to_string(i), size * random.normal(), i % 5 ? size : INFINITY, random.uniform() * 0.1,
                              false, i < n / 2 ? "V4" : "IT", i});
      chart.ceilings = {{-size, size, "ceiling", "V4"}, {NAN, NAN, "none", "IT"}};
      for (int i = 1; i < n; ++i) chart.comparisons.push_back({0, static_cast<std::size_t>(i), 1e-3});
      check_drawn(draw(chart));
    }
  BarChart dip{"a whisker just below 0", "y", {{"a", 0.3}, {"b", 0.01, 0.012}}};
  check_drawn(draw(dip));
  CHECK(has(draw(dip).svg, ">0.3</text>"));
  CHECK(!has(draw(dip).svg, ">-0.1</text>"));
  BarChart all{"undefined", "y", {{"a", NAN}, {"b", INFINITY}}};
  check_drawn(draw(all));
}

TEST_CASE("report: comparison lines never cross on one level") {
  BarChart chart{"t", "y"};
  for (int i = 0; i < 6; ++i) chart.bars.push_back({"b", 1});
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < i; ++j) chart.comparisons.push_back({i, j, 1e-6});
  report::detail::BarLayout l;
  report::detail::place_bars(l, chart);
  report::detail::place_comparisons(l, chart);
  CHECK(l.lines.size() == 15);
  for (const auto& a : l.lines)
    for (const auto& b : l.lines)
      if (&a != &b && a.level == b.level) CHECK((a.to <= b.from || b.to <= a.from));
}

TEST_CASE("report: a trace groups stimuli by category and leaves gaps") {
  const Figure f = draw(Trace{nasty, "rate", {1, 2, NAN, 4, 5}, {2, 4, 6, 8, 9}, {"faces", "cars", "faces", "cars", "a&b"}});
  check_drawn(f);
  CHECK(f.numbers.csv() == "stimulus,category,actual,predicted\n0,faces,1,2\n2,faces,NaN,6\n1,cars,2,4\n3,cars,4,8\n4,a&b,5,9\n");
  CHECK(has(f.note, "over 4 stimuli. 1 of 5 stimuli lack a value"));
  CHECK(has(f.svg, "a&amp;b"));
  // Pearson of (1,2,4,5) and (2,4,8,9): 18 / sqrt(10 * 32.75)
  CHECK(has(f.svg, "r = " + number(18 / std::sqrt(10 * 32.75))));
  CHECK(has(draw(Trace{"constant", "y", {1, 1, 1}, {1, 2, 3}}).svg, "r = undefined"));
  check_drawn(draw(Trace{"all undefined", "y", {NAN}, {INFINITY}}));
  CHECK(has(draw(Trace{"none"}).svg, "no stimuli"));
  CHECK_THROWS_AS(static_cast<void>(draw(Trace{"t", "y", {1}, {1, 2}})), ShapeError);
}

TEST_CASE("report: correlation interval by Fisher's z") {
  const double x[] = {1, 2, 3, 4, 5, 6}, y[] = {2, 1, 4, 3, 7, 5};
  const CorrelationInterval c = correlation_interval(x, y);
  const double r = 16.0 / std::sqrt(17.5 * (104 - 22.0 * 22 / 6)), z = 0.5 * std::log((1 + r) / (1 - r));
  CHECK(c.r == doctest::Approx(r).epsilon(1e-12));
  CHECK(c.pairs == 6);
  const double low = z - 1.959963984540054 / std::sqrt(3.0), high = z + 1.959963984540054 / std::sqrt(3.0);
  CHECK(c.lower == doctest::Approx((std::exp(2 * low) - 1) / (std::exp(2 * low) + 1)).epsilon(1e-12));
  CHECK(c.upper == doctest::Approx((std::exp(2 * high) - 1) / (std::exp(2 * high) + 1)).epsilon(1e-12));
  const double flat[] = {1, 1, 1, 1, 1, 1};
  CHECK(std::isnan(correlation_interval(x, flat).r));
  CHECK(std::isnan(correlation_interval(std::span(x).first(3), std::span(y).first(3)).lower));
  CHECK(correlation_interval(x, x).r == 1);
  CHECK(correlation_interval(x, x).lower == 1);
  CHECK_THROWS_WITH_AS(static_cast<void>(correlation_interval(x, std::span(y).first(2))), "correlation_interval: 6 against 2 values", ShapeError);
}

TEST_CASE("report: a scatter shows r, groups, labels and counts what is undefined") {
  Scatter s{nasty, "performance", "predictivity <%>"};
  Random random(4);
  for (int i = 0; i < 30; ++i) s.points.push_back({"m" + std::to_string(i), random.uniform(), random.uniform(), i % 2 ? "trained" : "untrained"});
  s.points.push_back({"bad", NAN, 1, "trained"});
  const Figure f = draw(s);
  check_drawn(f);
  CHECK(test::count_of(f.svg, "class=\"mark s0\"") == 15);
  CHECK(test::count_of(f.svg, "class=\"mark s1\"") == 15);
  CHECK(has(f.svg, "untrained"));
  CHECK(has(f.svg, ", n = 30"));
  CHECK(has(f.note, "1 of 31 points are undefined"));
  CHECK(has(f.numbers.csv(), "bad,trained,NaN,1\n"));
  CHECK(has(draw(Scatter{"t", "x", "y", {{"a", 1, 1}, {"b", 2, 3}, {"c", 3, 2}}}).note, "n = 3: too few for an interval"));
  check_drawn(draw(Scatter{"one", "x", "y", {{"a", 1, 1}}}));
  CHECK(has(draw(Scatter{"none", "x", "y"}).svg, "no points"));
  CHECK(has(draw(Scatter{"undefined", "x", "y", {{"a", NAN, 1}}}).svg, "all points are undefined"));
}

TEST_CASE("report: a page is one well-formed file that needs nothing else, and every number is beside it") {
  Page page(nasty);
  page.heading(nasty);
  page.text("One <p>.\n\nTwo & more.");
  page.add(BarChart{"bars", "y", {{"a", 1}}}, nasty);
  page.row({draw(RdmPicture{"r", random_rdm(5, 1)}), draw(RdmPicture{"large", random_rdm(400, 1)})}, "a row");
  Table table({"k"});
  table.add({NAN});
  page.table(table, "numbers");
  const std::string html = page.html("stem.");
  CHECK(test::xml_fault(html) == "");
  CHECK(test::coordinate_fault(html) == "");
  CHECK(test::count_of(html, "<p>") == 2);
  CHECK(test::count_of(html, "<figure id=") == 3);
  for (const char* foreign : {"http://", "https://", "<script", "@import", "<link"}) {
    INFO(foreign);
    CHECK(test::count_of(html, foreign) == (std::string_view(foreign) == "http://" ? test::count_of(html, "http://www.w3.org/2000/svg") : 0));
  }
  CHECK(has(html, "prefers-color-scheme:dark"));
  CHECK(has(html, "@media print"));
  CHECK(has(html, "href=\"stem.figure-3-rdm.npy\""));  // 638,528 bytes: beside the page
  CHECK(has(page.html("50% of #1."), "download=\"50% of #1.figure-3-rdm.npy\" href=\"50%25%20of%20%231.figure-3-rdm.npy\""));
  CHECK(has(html, "<b>Figures 2 and 3.</b> a row"));
  CHECK(has(html, "<th scope=\"col\" class=\"number\">k</th>"));
  CHECK(has(html, "href=\"data:text/csv;charset=utf-8;base64,awpOYU4K\""));

  const test::TemporaryFolder folder;
  page.write(folder / "report.html");
  CHECK(list_folder(folder.path()) == std::vector<std::string>{"report.figure-1.csv", "report.figure-2-rdm.csv", "report.figure-2-rdm.npy",
                                                               "report.figure-3-rdm.npy", "report.html", "report.table-1.csv"});
  const Bytes csv = read_file(folder / "report.table-1.csv");
  CHECK(std::string(csv.begin(), csv.end()) == "k\nNaN\n");
  CHECK(read_npy<double>(folder / "report.figure-3-rdm.npy")[7] == random_rdm(400, 1).values()[7]);
  const Bytes written = read_file(folder / "report.html");
  CHECK(std::string(written.begin(), written.end()) == page.html("report."));
  CHECK_THROWS_AS(page.write(folder / "no/such/folder.html"), FileError);
}

TEST_CASE("report: an empty page, and a path with dots and no ending") {
  const test::TemporaryFolder folder;
  Page page("");
  CHECK(test::xml_fault(page.html()) == "");
  Table table({"k"});
  page.table(table);
  static_cast<void>(folder.folder("v1.2"));
  page.write(folder / "v1.2/report");
  CHECK(is_file(folder / "v1.2/report.table-1.csv"));
}
