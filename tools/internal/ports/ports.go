// Package ports gives processes ports that stay theirs. A port that the system picked (by listening on
// port 0) may go to an outgoing connection of anybody while its process is down for a moment; those here
// are below the ones that systems pick, and none is given twice by one process.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	lowest, highest = 12_000, 30_000
	// step is how far apart rows begin.
	step = 10
)

// given is where the next row may begin: by chance at first, for others do the same.
var given = struct {
	sync.Mutex
	next int
}{next: lowest + rand.IntN((highest-lowest)/step)*step}

// Row gives the first of so many ports in a row on which nobody listens on loopback. Errors: there are
// none.
func Row(count int) (first int, err error) {
	given.Lock()
	defer given.Unlock()
	for range (highest - lowest) / step {
		if count > highest-lowest {
			break
		}
		if given.next+count > highest {
			given.next = lowest
		}
		first = given.next
		if allFree(first, count) {
			given.next += (count + step - 1) / step * step
			return first, nil
		}
		given.next += step
	}
	return 0, fmt.Errorf("no %d ports in a row are free between %d and %d", count, lowest, highest)
}

// Loopback is the address of a port on loopback.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func allFree(first, count int) bool {
	for port := first; port < first+count; port++ {
		listener, err := net.Listen("tcp", Loopback(port))
		if err != nil || listener.Close() != nil {
			return false
		}
	}
	return true
}
