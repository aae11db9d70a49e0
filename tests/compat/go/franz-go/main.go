// franz-go, the client (kgo) and its administrator (kadm), as they negotiate by themselves: no version is pinned. The first argument
// names one part; `numbers TOPIC COUNT` and `follow TOPIC GROUP` are programs that outlive kills of the broker.
package main

import (
	"os"

	"manifold/tests/compat/cases"
)

func main() {
	parts := map[string]func(){
		"producer": producing,
		"consumer": consuming,
		"groups":   groups,
		"admin":    administration,
		"interop":  interop,
	}
	what := os.Args[1]
	switch what {
	case "numbers":
		numbers(os.Args[2], os.Args[3])
	case "follow":
		follow(os.Args[2], os.Args[3])
	default:
		parts[what]()
		cases.Done()
	}
}
