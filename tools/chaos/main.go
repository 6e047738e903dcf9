// Command chaos breaks a network of real processes in every way it knows while jobs run through it, and
// has an independent checker say what of the promises was kept. `make chaos PART=...`:
//
//	points   kill -9 at each named place, before and after each durable step
//	random   kill -9, SIGSTOP beyond the lease, and cut lines at random, under load
//	bugs     plant each known fault, and see that the checker finds it
//
// It exits with 1 when the checker found anything, or missed a planted fault. -log appends what was done
// to a file. Start with perform in scenario.go; the checker is a package of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
)

type options struct {
	program  string
	seed     uint64
	jobs     int
	rate     float64
	pauseFor time.Duration
	log      string
	only     string
	keep     bool
	postgres bool
	replicas bool
}

func main() {
	var o options
	part := flag.String("part", "points", "points, random or bugs")
	flag.StringVar(&o.program, "program", "bin/chaos/aitbcd", "aitbcd, built with -tags chaos")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what the random choices follow from")
	flag.IntVar(&o.jobs, "jobs", 2000, "random: jobs to submit")
	flag.Float64Var(&o.rate, "rate", 40, "random: jobs submitted a second")
	flag.DurationVar(&o.pauseFor, "pause", 40*time.Second, "random: how long a process is frozen; 0: never")
	flag.StringVar(&o.log, "log", "", "file to which a line for each run is added")
	flag.StringVar(&o.only, "only", "", "points, bugs: only those with this in their name")
	flag.BoolVar(&o.postgres, "postgres", false, "keep jobs in a Postgres of the run's own instead of SQLite")
	flag.BoolVar(&o.replicas, "replicas", false, "two coordinators on one Postgres of the run's own, two miners that know both, and calls to either")
	flag.BoolVar(&o.keep, "keep", false, "keep the state folder also when nothing was found")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx, *part); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context, part string) error {
	switch part {
	case "points":
		return o.one(ctx, part, crashAtPoints(shuffled(o.chosen(points()), o.seed)))
	case "random":
		return o.one(ctx, part, anything(o.jobs, o.rate, o.pauseFor))
	case "bugs":
		return o.bugs(ctx, bugJobs)
	default:
		return fmt.Errorf("unknown part %q: there are points, random and bugs", part)
	}
}

func (o options) chosen(all []string) []string {
	var chosen []string
	for _, name := range all {
		if strings.Contains(name, o.only) {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// one performs one scenario and prints what came of it.
func (o options) one(ctx context.Context, name string, play scenario) error {
	r, err := o.perform(ctx, name, "", settlePatience, play)
	fmt.Println(r.line())
	for _, point := range r.unpassed {
		fmt.Println("not passed:", point)
	}
	for _, finding := range r.report.Findings {
		fmt.Println("FOUND:", finding)
	}
	err = errors.Join(err, o.note(r, err))
	if err == nil && len(r.report.Findings) > 0 {
		err = fmt.Errorf("%d findings", len(r.report.Findings))
	}
	return err
}

// line is a run in one line.
func (r result) line() string {
	moved := ""
	if r.moved > 0 {
		moved = fmt.Sprintf(" moved_within=%s", r.moved.Round(100*time.Millisecond))
	}
	return fmt.Sprintf("%s store=%s seed=%d jobs=%d kills=%v by_status=%v paid=%duaitbc not_passed=%d findings=%d took=%s%s",
		r.name, r.store, r.seed, r.jobs, r.kills, r.report.Jobs, r.report.Paid, len(r.unpassed), len(r.report.Findings), r.took.Round(time.Second), moved)
}

// note adds a run to the log.
func (o options) note(r result, failure error) error {
	if o.log == "" {
		return nil
	}
	file, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	text := time.Now().UTC().Format(time.RFC3339) + " " + r.line()
	if failure != nil {
		text += " error=" + strings.ReplaceAll(failure.Error(), "\n", " ")
	}
	_, err = fmt.Fprintln(file, text)
	return errors.Join(err, file.Close())
}

const (
	// bugJobs are enough for each fault to show.
	bugJobs = 60
	// bugPatience is how long a network with a fault may take to settle; with some it never does.
	bugPatience = 15 * time.Second
	// bugsAtOnce is how many networks are up at the same time: they mostly wait.
	bugsAtOnce = 3
)

// bugs plants the faults, some at once, each in a network of its own, and prints the table of what the
// checker said.
func (o options) bugs(ctx context.Context, jobs int) error {
	var chosen []fault
	for _, f := range append(faults(), fault{what: "no fault"}) {
		if strings.Contains(f.name, o.only) {
			chosen = append(chosen, f)
		}
	}
	results := make([]result, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(bugsAtOnce)
	for i, f := range chosen {
		group.Go(func() (err error) {
			if results[i], err = o.perform(ctx, "bugs", f.name, bugPatience, calm(jobs)); err != nil {
				return fmt.Errorf("with %q: %w", f.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return tabulate(chosen, results)
}

func tabulate(chosen []fault, results []result) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "in\tplanted\tfound\tfindings\tthe first of them\tit is")
	missed := 0
	for i, f := range chosen {
		findings := results[i].report.Findings
		found, first := len(findings) > 0, ""
		if found != (f.name != "") {
			missed++
		}
		if found {
			first = findings[0]
		}
		fmt.Fprintf(table, "%s\t%s\t%v\t%d\t%.110s\t%s\n", f.in, f.name, found, len(findings), first, f.what)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if missed > 0 {
		return fmt.Errorf("%d were judged wrongly", missed)
	}
	return nil
}

// folder makes a state folder; it is kept when something was found.
func (o options) folder(name string) (path string, cleanUp func(*result, *error), err error) {
	path, err = os.MkdirTemp("", "aitbc-chaos-"+filepath.Base(name)+"-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder: %w", err)
	}
	return path, func(r *result, failure *error) {
		if o.keep || *failure != nil || len(r.report.Findings) > 0 && r.name != "bugs" {
			fmt.Fprintln(os.Stderr, "state and logs are in", path)
			return
		}
		*failure = errors.Join(*failure, os.RemoveAll(path))
	}, nil
}
