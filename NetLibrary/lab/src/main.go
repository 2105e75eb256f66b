// Command labnode is every program of a NetLibrary lab in one static file: the first argument, or the name under
// which the file is started, chooses the component. One file links the shared packages once, which makes the build
// three times as fast and the result a quarter as large as separate programs.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// A component runs with os.Args already shifted, as if it were a program of its own, and returns its exit status.
type component func() int

func main() {
	name, arguments := filepath.Base(os.Args[0]), os.Args[1:]
	if components[name] == nil && len(arguments) > 0 {
		name, arguments = arguments[0], arguments[1:]
	}
	run, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "labnode: unknown component %q; known are %s\n", name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	os.Args = append([]string{name}, arguments...)
	os.Exit(run())
}

func names() []string {
	all := make([]string, 0, len(components))
	for name := range components {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}
