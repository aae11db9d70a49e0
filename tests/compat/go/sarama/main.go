// sarama: it takes the versions of its requests from the broker version that it is told, so the cases run with old and new ones.
package main

import "manifold/tests/compat/cases"

func main() {
	producing()
	groups()
	administration()
	cases.Done()
}
