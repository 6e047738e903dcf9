package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"

	aitbc "github.com/aitbc/aitbc/clients/go"
)

// printer writes lines, or the rows of one table, for people.
type printer struct {
	out   io.Writer
	table *tabwriter.Writer
	clean bool // a terminal reads it
	color bool
	err   error
}

// print prints one answer: value for programs, or what text writes.
func (a *app) print(value any, text func(*printer)) error {
	if a.forPrograms() {
		return a.encode(value)
	}
	p := &printer{
		out: a.out, table: tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0),
		clean: a.outTTY, color: a.outTTY && a.getenv("NO_COLOR") == "",
	}
	text(p)
	return errors.Join(p.err, p.table.Flush())
}

// line prints a line. Texts among the values come from strangers: on a terminal they lose what
// could command it.
func (p *printer) line(format string, values ...any) {
	for i, v := range values {
		if s, ok := v.(string); ok && p.clean {
			values[i] = printable(s)
		}
	}
	p.write(p.out, fmt.Sprintf(format, values...))
}

// row prints a row of a table.
func (p *printer) row(cells ...string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(printable(cells[i]), "\n", " ")
	}
	p.write(p.table, strings.Join(cells, "\t"))
}

func (p *printer) write(to io.Writer, line string) {
	if p.err == nil {
		_, p.err = io.WriteString(to, line+"\n")
	}
}

// colored is text that is safe as it is.
type colored string

func (p *printer) status(s aitbc.Status) any {
	if !p.color {
		return string(s)
	}
	color := map[aitbc.Status]string{aitbc.StatusCompleted: "32", aitbc.StatusFailed: "31", aitbc.StatusCancelled: "33"}[s]
	if color == "" {
		return string(s)
	}
	return colored("\x1b[" + color + "m" + string(s) + "\x1b[0m")
}

// printable drops control characters but newline, so that no answer can command the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, s)
}

// coins gives an amount in the seed document's words: "0.25 AITBC".
func coins(a aitbc.Amount) string { return a.Decimal() + " AITBC" }

// secondsText gives a span in the seed document's words, "17 seconds": whole seconds from ten on,
// hundredths below.
func secondsText(d time.Duration) string {
	if d >= 10*time.Second {
		d = d.Round(time.Second)
	} else {
		d = d.Round(10 * time.Millisecond)
	}
	if d == time.Second {
		return "1 second"
	}
	// Of 4.69 s Seconds gives 4.6899999999999995.
	return strconv.FormatFloat(float64(d.Milliseconds())/1000, 'f', -1, 64) + " seconds"
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
