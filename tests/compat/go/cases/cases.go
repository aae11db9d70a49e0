// Package cases is the frame of the compatibility programs in Go: named cases with a time limit, one line each.
package cases

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"
)

const limit = 10 * time.Second

var (
	count int
	mutex sync.Mutex
	last  int
)

// Unique is a name that no other case uses; of plain characters.
func Unique(word string) string {
	mutex.Lock()
	defer mutex.Unlock()
	last++
	return fmt.Sprintf("%s%dn%d", word, os.Getpid(), last)
}

type failure struct{ error }

// Check ends the case where there is an error.
func Check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// Fail ends the case.
func Fail(format string, arguments ...any) { Check(fmt.Errorf(format, arguments...)) }

// Equal ends the case unless both are equal.
func Equal(what string, found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		Fail("%s: got %v, wanted %v", what, found, wanted)
	}
}

// Run runs one case and writes its line.
func Run(name string, body func()) {
	count++
	ended := make(chan error, 1)
	go func() {
		defer func() {
			switch thrown := recover().(type) {
			case nil:
				ended <- nil
			case failure:
				ended <- thrown.error
			default:
				ended <- fmt.Errorf("%v", thrown)
			}
		}()
		body()
	}()
	var err error
	select {
	case err = <-ended:
	case <-time.After(limit):
		err = errors.New("not done within " + limit.String())
	}
	if err == nil {
		fmt.Println("ok " + name)
		return
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	fmt.Println("not ok " + name + ": " + text)
}

// Done ends the program.
func Done() {
	fmt.Printf("done %d\n", count)
	os.Exit(0)
}

// Message is what came, whichever library brought it.
type Message struct {
	Topic      string
	Text       string
	QoS        byte
	Retained   bool
	Duplicate  bool
	Properties any
}

// Inbox holds messages in their order.
type Inbox struct {
	mutex    sync.Mutex
	messages []Message
	changed  chan struct{}
}

// NewInbox is an empty one.
func NewInbox() *Inbox { return &Inbox{changed: make(chan struct{}, 1)} }

// Add takes a message in.
func (inbox *Inbox) Add(message Message) {
	inbox.mutex.Lock()
	inbox.messages = append(inbox.messages, message)
	inbox.mutex.Unlock()
	select {
	case inbox.changed <- struct{}{}:
	default:
	}
}

// All gives what is there.
func (inbox *Inbox) All() []Message {
	inbox.mutex.Lock()
	defer inbox.mutex.Unlock()
	return append([]Message(nil), inbox.messages...)
}

// Await waits until there are so many.
func (inbox *Inbox) Await(count int) []Message {
	end := time.After(limit)
	for {
		if all := inbox.All(); len(all) >= count {
			return all
		}
		select {
		case <-inbox.changed:
		case <-end:
			Fail("waited in vain for %d messages, have %d", count, len(inbox.All()))
		}
	}
}

// Texts are the payloads of the messages, once there are so many.
func (inbox *Inbox) Texts(count int) []string {
	var texts []string
	for _, message := range inbox.Await(count) {
		texts = append(texts, message.Text)
	}
	return texts
}

// Numbers are the texts of 0, 1, ... below count.
func Numbers(count int) []string {
	var texts []string
	for index := range count {
		texts = append(texts, fmt.Sprint(index))
	}
	return texts
}

// Bytes are so many of all values.
func Bytes(count int) []byte {
	bytes := make([]byte, count)
	for index := range bytes {
		bytes[index] = byte(index * 31)
	}
	return bytes
}
