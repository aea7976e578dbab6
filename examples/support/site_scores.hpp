#pragma once
#include <utility>

#include "support/recordings.hpp"
#include "ventral/brain/predictivity.hpp"
#include "ventral/report/trace.hpp"

// What 06_regression shows of single sites.

/// 95 % interval of the median over sites of r^2 / ceiling, by resampling the sites that have one 1000 times; NaN when none has.
std::pair<double, double> explained_interval(const ventral::brain::Predictivity& p, std::uint64_t seed);

/// The site with the highest ceiling.
ventral::Index most_reliable_site(const ventral::brain::Predictivity& p);

/// Ridge predictions of one site from the layer of a Gram matrix, against its mean responses on the held-out images.
ventral::report::Trace site_trace(const std::string& title, const ventral::brain::Gram& layer, const Recording& recording, ventral::Index site);
