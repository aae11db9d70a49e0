import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.Readable;

/**
 * A second opinion on Kafka messages: Apache's own classes. Reads JSON lines {message, version, hex}, answers each with {value, hex}:
 * what they decoded, as their JSON converters write it (bytes and UUIDs in base 64), and how they encode that again; null where they
 * do not know a version that old any more.
 */
public class KafkaOracle {
  public static void main(String[] arguments) throws Exception {
    ObjectMapper mapper = new ObjectMapper();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonNode row = mapper.readTree(line);
      short version = row.get("version").shortValue();
      ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(row.get("hex").asText()));
      String name = "org.apache.kafka.common.message." + row.get("message").asText() + "Data";
      Class<?> type = Class.forName(name);
      if (version < type.getField("LOWEST_SUPPORTED_VERSION").getShort(null)) {
        System.out.println("null");
        continue;
      }
      Message message =
          (Message) type.getConstructor(Readable.class, short.class).newInstance(new ByteBufferAccessor(bytes), version);
      if (bytes.hasRemaining()) throw new IllegalStateException(bytes.remaining() + " bytes are left of " + name);
      JsonNode value =
          (JsonNode) Class.forName(name + "JsonConverter").getMethod("write", type, short.class).invoke(null, message, version);
      ObjectSerializationCache cache = new ObjectSerializationCache();
      ByteBuffer again = ByteBuffer.allocate(message.size(cache, version));
      message.write(new ByteBufferAccessor(again), cache, version);
      ObjectNode answer = mapper.createObjectNode();
      answer.set("value", value);
      answer.put("hex", HexFormat.of().formatHex(again.array()));
      System.out.println(mapper.writeValueAsString(answer));
    }
  }
}
