#pragma once
#include <concepts>

#include "ventral/report/text.hpp"

namespace ventral::inline v0::report {

/// A cell of a table: text or a number.
struct Cell {
  std::string text;
  double value = 0;
  bool is_number = false;

  template <class T>
  requires std::convertible_to<T, std::string_view> Cell(const T& t) : text(std::string_view(t)) {}
  template <class T>
  requires std::is_arithmetic_v<T> Cell(T v) : value(static_cast<double>(v)), is_number(true) {}

  /// For people: three significant digits, whole numbers below 10^15 whole.
  std::string shown() const {
    if (!is_number) return text;
    return value == std::floor(value) && std::abs(value) < 1e15 ? detail::to_text(value == 0 ? 0.0 : value, std::chars_format::fixed, 0)
                                                                : number(value);
  }
  std::string csv() const { return is_number ? exact_number(value) : csv_field(text); }
};

/// Rows of text and numbers under named columns, to be shown in a page and written as CSV.
class Table {
 public:
  Table() = default;
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  /// Adds a row. Throws ShapeError when it has not one cell for each column.
  void add(std::vector<Cell> row) {
    require<ShapeError>(row.size() == columns_.size(), "report::Table: a row of ", row.size(), " cells; the table has ", columns_.size(), " columns");
    rows_.push_back(std::move(row));
  }
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::vector<Cell>>& rows() const { return rows_; }
  bool empty() const { return rows_.empty(); }

  /// A line of names, then one for each row; numbers exact, NaN as NaN, text quoted where needed, lines end in \n.
  std::string csv() const {
    std::string out;
    for (std::size_t c = 0; c < columns_.size(); ++c) out += concat(c ? "," : "", csv_field(columns_[c]));
    out += '\n';
    for (const auto& row : rows_) {
      for (std::size_t c = 0; c < row.size(); ++c) out += concat(c ? "," : "", row[c].csv());
      out += '\n';
    }
    return out;
  }
  /// A <table> of the first `most` rows, all text escaped.
  std::string html(std::size_t most = 500) const {
    std::string out = "<div class=\"scroll\"><table><thead><tr>";
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const bool numbers = !rows_.empty() && rows_[0][c].is_number;
      out += concat("<th scope=\"col\"", numbers ? " class=\"number\">" : ">", escaped(columns_[c]), "</th>");
    }
    out += "</tr></thead><tbody>\n";
    for (std::size_t r = 0; r < std::min(most, rows_.size()); ++r) {
      out += "<tr>";
      for (const Cell& c : rows_[r]) out += concat(c.is_number ? "<td class=\"number\">" : "<td>", escaped(c.shown()), "</td>");
      out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
    if (rows_.size() > most)
      out += "<p class=\"note\">The first " + std::to_string(most) + " of " + std::to_string(rows_.size()) + " rows; the CSV file has all.</p>\n";
    return out;
  }

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace ventral::inline v0::report
