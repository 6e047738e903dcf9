//go:build !chaos

package crash

// Enabled says that the program was built for tools/chaos.
const Enabled = false

// At does nothing.
func At(string) {}

// Planted says that the named fault is planted: never.
func Planted(string) bool { return false }
