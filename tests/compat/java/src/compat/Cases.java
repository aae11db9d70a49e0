package compat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/** The frame of the compatibility programs in Java: named cases with a time limit, one line each. */
final class Cases {
    private static final long LIMIT_MS = 12_000;
    private static final AtomicInteger NUMBERS = new AtomicInteger();
    private static final ExecutorService THREADS = Executors.newCachedThreadPool();
    private static int count = 0;

    private Cases() {}

    interface Body {
        void run() throws Exception;
    }

    /** A name that no other case uses; of plain characters. */
    static String unique(String word) {
        return word + ProcessHandle.current().pid() + "n" + NUMBERS.incrementAndGet();
    }

    /** Runs one case and writes its line. */
    static void run(String name, Body body) {
        count++;
        var ending = THREADS.submit(() -> {
            body.run();
            return null;
        });
        try {
            ending.get(LIMIT_MS, TimeUnit.MILLISECONDS);
            System.out.println("ok " + name);
        } catch (ExecutionException failure) {
            System.out.println("not ok " + name + ": " + String.valueOf(failure.getCause()).lines().findFirst().orElse(""));
        } catch (TimeoutException late) {
            ending.cancel(true);
            System.out.println("not ok " + name + ": not done within " + LIMIT_MS + " ms");
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    /** Ends the program. */
    static void done() {
        System.out.println("done " + count);
        System.exit(0);
    }

    static void equal(Object found, Object wanted, String what) {
        if (!Objects.deepEquals(found, wanted)) {
            throw new AssertionError(what + ": got " + show(found) + ", wanted " + show(wanted));
        }
    }

    private static String show(Object value) {
        return value instanceof int[] numbers ? Arrays.toString(numbers) : String.valueOf(value);
    }

    /** The texts of 0, 1, ... below count. */
    static List<String> numbers(int count) {
        return IntStream.range(0, count).mapToObj(String::valueOf).toList();
    }

    static byte[] bytes(int count) {
        var bytes = new byte[count];
        for (int index = 0; index < count; index++) bytes[index] = (byte) (index * 31);
        return bytes;
    }

    /** What came, whichever library brought it. */
    record Message(String topic, byte[] payload, int qos, boolean isRetained, boolean isDuplicate, Object properties) {
        String text() {
            return new String(payload, java.nio.charset.StandardCharsets.UTF_8);
        }
    }

    /** Holds messages in their order. */
    static final class Inbox {
        private final List<Message> messages = new ArrayList<>();

        synchronized void add(Message message) {
            messages.add(message);
            notifyAll();
        }

        synchronized List<Message> all() {
            return List.copyOf(messages);
        }

        synchronized List<Message> await(int count) throws InterruptedException {
            long end = System.currentTimeMillis() + 8_000;
            while (messages.size() < count) {
                long left = end - System.currentTimeMillis();
                if (left <= 0) throw new AssertionError("waited in vain for " + count + " messages, have " + messages.size());
                wait(left);
            }
            return List.copyOf(messages);
        }

        List<String> texts(int count) throws InterruptedException {
            return await(count).stream().map(Message::text).toList();
        }
    }
}
