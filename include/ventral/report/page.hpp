#pragma once
#include "ventral/report/svg.hpp"

namespace ventral::inline v0::report {

/// Anything that draw() turns into a Figure: BarChart, RdmPicture, Scatter, Trace.
template <class Chart>
concept Drawable = requires(const Chart& chart) {
  { draw(chart) } -> std::same_as<Figure>;
};

/// A report: text, figures and tables gathered in one HTML file that needs nothing else (no script, font or network), follows light and dark, and
/// prints. `Page page("RSA"); page.text("..."); page.add(chart, "caption"); page.write("report.html");`
class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}

  /// A heading of a section.
  void heading(std::string_view text) { body_ += concat("<h2>", escaped(text), "</h2>\n"); }
  /// Paragraphs, parted by empty lines.
  void text(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find("\n\n");
      body_ += concat("<p>", escaped(text.substr(0, end)), "</p>\n");
      text.remove_prefix(end == text.npos ? text.size() : end + 2);
    }
  }
  void add(const Figure& figure, std::string_view caption = {}) { body_ += rendered(figure, caption); }
  template <Drawable Chart>
  void add(const Chart& chart, std::string_view caption = {}) {
    add(draw(chart), caption);
  }
  /// Small figures side by side, as many as fit in the width; the caption, below them, names them by their numbers.
  void row(const std::vector<Figure>& figures, std::string_view caption = {}) {
    const Index first = figures_ + 1;
    body_ += "<div class=\"row\">\n";
    for (const Figure& f : figures) body_ += rendered(f, {});
    body_ += "</div>\n";
    if (caption.empty() || figures.empty()) return;
    const std::string numbers = first == figures_ ? concat("Figure ", first)
                                                  : concat("Figures ", first, first + 1 == figures_ ? " and " : " to ", figures_);
    body_ += concat("<p class=\"caption\"><b>", numbers, ".</b> ", escaped(caption), "</p>\n");
  }
  void table(const Table& table, std::string_view caption = {}) {
    const std::string name = concat("table-", ++tables_, ".csv");
    body_ += concat("<section>", caption.empty() ? "" : concat("<p class=\"caption\"><b>Table ", tables_, ".</b> ", escaped(caption), "</p>"),
                    table.html(), "<p class=\"files\">", link(name, table.csv()), "</p></section>\n");
  }

  /// The whole page. Links to the files too large to be embedded (see write) begin with `prefix`.
  std::string html(std::string_view prefix = {}) const {
    std::string body = body_;
    for (std::size_t at = 0; (at = body.find(prefix_mark, at)) != body.npos;) {
      const bool link = std::string_view(body).substr(0, at).ends_with("href=\"");
      body.replace(at, prefix_mark.size(), link ? url_text(prefix) : escaped(prefix));
    }
    return concat(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, "
        "initial-scale=1\"/>\n",
        "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>", escaped(title_), "</title>\n<style>\n", figure_css, page_css,
        "</style>\n</head>\n<body>\n", "<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\">", hatch_definitions,
        "</svg>\n<h1>", escaped(title_), "</h1>\n", body, "</body>\n</html>\n");
  }

  /// Writes the page, and beside it every table as CSV and every RDM as .npy (report.figure-1.csv, report.figure-2-rdm.npy), each atomically.
  /// Files up to 256 KiB are also inside the page. Throws FileError when one cannot be written.
  void write(const std::string& path) const {
    const std::size_t slash = path.find_last_of('/'), dot = path.find_last_of('.');
    const std::string stem = path.substr(0, dot == path.npos || (slash != path.npos && dot < slash) ? path.size() : dot) + ".";
    for (const Attachment& file : files_) write_file(stem + file.name, file.bytes);
    const std::string text = html(stem.substr(slash == path.npos ? 0 : slash + 1));
    write_file(path, ByteSpan(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  /// The files that write() puts beside the page.
  const std::vector<Attachment>& files() const { return files_; }

 private:
  static constexpr std::size_t embedded_bytes = std::size_t{1} << 18;
  static constexpr std::string_view prefix_mark = "\x01prefix\x01";  // escaped text has no control characters
  static constexpr std::string_view page_css =
      R"(body{max-width:68rem;margin:0 auto;padding:1rem;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI","Helvetica Neue",Arial,sans-serif}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin-top:2rem}
figure{margin:1.5rem 0;break-inside:avoid}figcaption,.caption,.note{font-size:.9rem;line-height:1.4;color:var(--soft)}
figcaption b,.caption b{color:var(--ink)}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:0 1rem}.row figure{margin:.5rem 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;border-bottom:1px solid var(--grid);text-align:left}
th{border-bottom-color:var(--line)}.number{text-align:right}td.number{white-space:nowrap}
details{font-size:.85rem;margin-top:.3rem}summary{cursor:pointer;color:var(--soft)}a{color:var(--s0)}.files{font-size:.85rem;margin:.3rem 0}
@media print{body{max-width:none;padding:0;font-size:11pt}details,.files{display:none}}
)";

  /// A file name as part of a link: # ? % : and the like escaped.
  static std::string url_text(std::string_view name) {
    constexpr char digit[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : name) {
      const auto byte = static_cast<unsigned char>(c);
      const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
      if (plain) out += c;
      else out += '%', out += digit[byte >> 4], out += digit[byte & 15];
    }
    return out;
  }

  std::string rendered(const Figure& f, std::string_view caption) {
    const std::string label = concat("figure-", ++figures_);
    std::string out =
        concat("<figure id=\"", label, "\">\n<div class=\"scroll\">", f.svg, "</div>\n<figcaption><b>Figure ", figures_, ".</b> ", escaped(caption),
               caption.empty()         ? ""
               : caption.back() == '.' ? " "
                                       : ". ",
               "<span class=\"note\">", escaped(f.note), "</span></figcaption>\n");
    std::string links;
    for (const Attachment& a : f.attachments) links += link(concat(label, "-", a.name), a.bytes) + " ";
    if (!f.numbers.empty()) {
      out += concat("<details><summary>Numbers</summary>\n", f.numbers.html(), "</details>\n");
      links += link(label + ".csv", f.numbers.csv());
    }
    if (!links.empty()) out += concat("<p class=\"files\">", links, "</p>\n");
    return out + "</figure>\n";
  }

  std::string link(const std::string& name, std::string_view text) {
    Bytes bytes;
    ventral::detail::append_text(bytes, text);
    return link(name, std::move(bytes));
  }
  /// A link that saves the file from inside the page, or, when it is large, to the file beside the page.
  std::string link(const std::string& name, Bytes bytes) {
    const bool inside = bytes.size() <= embedded_bytes, csv = name.ends_with(".csv");
    const std::string target = inside ? concat("data:", csv ? "text/csv;charset=utf-8" : "application/octet-stream", ";base64,", base64(bytes))
                                      : concat(prefix_mark, escaped(name));
    files_.push_back({name, std::move(bytes)});
    return concat("<a download=\"", prefix_mark, escaped(name), "\" href=\"", target, "\">", escaped(name), "</a>");
  }

  std::string title_, body_;
  Index figures_ = 0, tables_ = 0;
  std::vector<Attachment> files_;
};

}  // namespace ventral::inline v0::report
