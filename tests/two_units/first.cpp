// The whole library in two translation units of one program: a function that is not inline would be defined twice here.
#include "all.hpp"

const void* pool_of_second();
int threads_of_second();

int main() {
  const bool one_pool = pool_of_second() == &ventral::cpu::detail::ThreadPool::instance();
  return one_pool && threads_of_second() == ventral::cpu::threads() ? 0 : 1;
}
