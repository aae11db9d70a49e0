import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Kafka messages as Kafka's own classes read them. Reads JSON lines {message, version, hex}; answers each with {value, hex}: what the
 * class decoded, absent fields at their defaults, and how it encodes that again.
 */
public class KafkaMessages {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonNode row = json.readTree(line);
      short version = (short) row.get("version").asInt();
      Class<?> type = Class.forName("org.apache.kafka.common.message." + row.get("message").asText() + "Data");
      Message message = (Message) type.getDeclaredConstructor().newInstance();
      ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(row.get("hex").asText()));
      message.read(new ByteBufferAccessor(bytes), version);
      if (bytes.hasRemaining()) throw new IllegalStateException("bytes are left: " + line);
      ObjectSerializationCache cache = new ObjectSerializationCache();
      ByteBuffer again = ByteBuffer.allocate(message.size(cache, version));
      message.write(new ByteBufferAccessor(again), cache, version);
      Map<String, Object> answer = new LinkedHashMap<>();
      answer.put("value", plain(message));
      answer.put("hex", HexFormat.of().formatHex(again.array(), 0, again.position()));
      System.out.println(json.writeValueAsString(answer));
    }
  }

  private static Object plain(Object value) throws IllegalAccessException {
    if (value == null || value instanceof Boolean || value instanceof Number || value instanceof String) return value;
    if (value instanceof Uuid id)
      return new java.util.UUID(id.getMostSignificantBits(), id.getLeastSignificantBits()).toString();
    if (value instanceof byte[] bytes) return HexFormat.of().formatHex(bytes);
    if (value instanceof Collection<?> all) {
      List<Object> list = new ArrayList<>();
      for (Object one : all) list.add(plain(one));
      return list;
    }
    Map<String, Object> struct = new LinkedHashMap<>();
    for (Field field : value.getClass().getDeclaredFields()) {
      String name = field.getName();
      boolean isOwn = !name.equals("next") && !name.equals("prev") && !name.startsWith("_");
      if (Modifier.isStatic(field.getModifiers()) || !isOwn) continue;
      field.setAccessible(true);
      struct.put(name, plain(field.get(value)));
    }
    return struct;
  }
}
