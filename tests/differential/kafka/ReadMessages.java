import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/** Reads lines `message version hex`, each with Apache Kafka's own class of that message, and answers each with the bytes that the class writes. */
public final class ReadMessages {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split(" ", -1);
            System.out.println(again(parts[0], Short.parseShort(parts[1]), HexFormat.of().parseHex(parts[2])));
        }
    }

    private static String again(String name, short version, byte[] bytes) {
        try {
            Class<?> type = Class.forName("org.apache.kafka.common.message." + name + "Data");
            Message message = (Message) type.getConstructor().newInstance();
            ByteBuffer source = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(source), version);
            if (source.hasRemaining()) return source.remaining() + " bytes are left";
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer target = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(target), cache, version);
            return HexFormat.of().formatHex(target.array());
        } catch (Exception error) {
            return error.toString().replace('\n', ' ');
        }
    }
}
